"""The result of tracing a model's channels: which layers hold them, and which must be removed together."""

from dataclasses import dataclass, field

import numpy as np
from torch import Tensor


@dataclass(frozen=True)
class Use:
    """Channels that a layer holds: their ids in the layer's order.

    Attributes:
        layer: name of the module, or of the operation where the channels belong to no module.
        side: `out` or `in` of a convolution or linear layer, `both` where in and out are the same channels
            (depthwise, BatchNorm), `none` where there are no weights to cut.
        ids: int array, shape (channels,).
    """

    layer: str
    side: str
    ids: np.ndarray


@dataclass(frozen=True)
class Term:
    """Multiply-adds: `scale` times the width of one use, or of two uses."""

    layer: str
    scale: float
    uses: tuple[int, ...]


@dataclass
class Trace:
    """The result of one tracing pass.

    Attributes:
        count: number of channel ids.
        uses: every side of a layer that holds channels.
        terms: multiply-adds for one image, per operator.
        ties: pairs of equally long id arrays that must be kept or removed together, element by element.
        frozen: ids that must be kept, with the reason.
    """

    count: int = 0
    uses: list[Use] = field(default_factory=list)
    terms: list[Term] = field(default_factory=list)
    ties: list[tuple[np.ndarray, np.ndarray]] = field(default_factory=list)
    frozen: list[tuple[np.ndarray, str]] = field(default_factory=list)


@dataclass(frozen=True)
class Axis:
    """The dimension of a tensor along which its channels lie, and their ids."""

    dim: int
    ids: np.ndarray


@dataclass(frozen=True)
class Followed:
    """A tensor whose channels are known."""

    tensor: Tensor
    axis: Axis


def axis_of(tensor: object) -> Axis | None:
    """The channels that the pass has marked on a tensor, or None."""
    return getattr(tensor, "channel_axis", None)
