"""The size of a network's input: a record, in the order in which tensors have their sides."""

from dataclasses import dataclass
from typing import Annotated, Any, TypeAlias

from pydantic import BeforeValidator, ConfigDict, Field

Pixels = Annotated[int, Field(gt=0, lt=10**6)]


@dataclass(frozen=True)
class Size:
    """Height and width in pixels; all but `side` holds for rectangles too."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    height: Pixels
    width: Pixels

    @property
    def side(self) -> int:
        """Of a square.

        Raises:
            ValueError: it is none.
        """
        if self.height != self.width:
            raise ValueError(f"an input of {self} is no square")
        return self.height

    @property
    def pixels(self) -> int:
        return self.height * self.width

    def __str__(self) -> str:
        """The side of a square, e.g. `640`, else height and width, e.g. `384x640`."""
        return str(self.height) if self.height == self.width else f"{self.height}x{self.width}"


def square(side: int) -> Size:
    """The input of `side` x `side` pixels."""
    return Size(side, side)


def _of_number(value: Any) -> Any:
    return {"height": value, "width": value} if type(value) is int else value


# In files of versions up to 0.2, and in what their bundles measure, a size is the side of the square.
StoredSize: TypeAlias = Annotated[Size, BeforeValidator(_of_number)]
