"""The size of a network's input: a record, in the order in which tensors have their sides."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, TypeAlias

from pydantic import BeforeValidator, ConfigDict, Field

from optimize.errors import InputError

Pixels = Annotated[int, Field(gt=0, lt=10**6)]


@dataclass(frozen=True)
class Size:
    """Height and width in pixels."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    height: Pixels
    width: Pixels

    @property
    def longer(self) -> int:
        """The longer side."""
        return max(self.height, self.width)

    @property
    def sides(self) -> int | list[int]:
        """As ultralytics takes it: the side of a square, height and width of a rectangle."""
        return self.height if self.height == self.width else [self.height, self.width]

    @property
    def pixels(self) -> int:
        return self.height * self.width

    def __str__(self) -> str:
        """The side of a square, e.g. `640`, else height and width, e.g. `384x640`."""
        return str(self.height) if self.height == self.width else f"{self.height}x{self.width}"


def square(side: int) -> Size:
    """The input of `side` x `side` pixels."""
    return Size(side, side)


def size(given: int | tuple[int, ...]) -> Size:
    """The size that a user gives: the side of a square, or height and width.

    Raises:
        InputError: it is neither.
    """
    sides = given if isinstance(given, tuple) else (given,)
    if len(sides) not in (1, 2) or min(sides) < 1:
        text = ",".join(map(str, sides))
        raise InputError(
            f"imgsz={text if isinstance(given, int) else f'[{text}]'} is not allowed; give pixels, a multiple of the "
            "model's stride, e.g. 640, or height and width, e.g. [384,640]; or leave imgsz out."
        )
    return Size(sides[0], sides[-1])


def smaller(full: Size, step: int) -> Iterator[Size]:
    """Every smaller input of about the same shape, the largest first; each side is a multiple of `step`."""
    for longer in range(full.longer - step, 0, -step):
        height, width = (
            max(step, round(side * longer / full.longer / step) * step) for side in (full.height, full.width)
        )
        yield Size(height, width)


def _of_number(value: Any) -> Any:
    return {"height": value, "width": value} if type(value) is int else value


# In files of versions up to 0.2, and in what their bundles measure, a size is the side of the square.
StoredSize: TypeAlias = Annotated[Size, BeforeValidator(_of_number)]
