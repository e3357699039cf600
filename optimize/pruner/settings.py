"""The settings of pruning, validated."""

from dataclasses import dataclass, field
from pathlib import Path

from optimize.dataset import Dataset
from optimize.errors import InputError
from optimize.identity import OUTSIDE
from optimize.pruner.score import Criterion
from optimize.pruner.size import TARGETS

SCOPES = ("measured", "local", "global")


@dataclass(frozen=True)
class Pruning:
    """How to prune; the keys are explained in conf/pruner/l2.yaml.

    Attributes:
        criterion: scores how much channels matter.
        original: with several steps, the checkpoint that `share` refers to; None for the checkpoint that is pruned.
            Not in the repr, since every variant's first step is its digest.
        data: the data set on whose training images the scope `measured` measures the loss; None for other scopes.
    """

    share: float
    criterion: Criterion
    original: Path | None = field(default=None, repr=False, metadata=OUTSIDE)
    target: str = "flops"
    scope: str = "local"
    round_to: int = 16
    max_ratio: float = 0.75
    min_width: int = 8
    protect: tuple[str, ...] = ()
    steps: int = 1
    data: Dataset | None = None
    images: int = 16
    seed: int = 0
    device: str | None = field(default=None, metadata=OUTSIDE)

    def __post_init__(self) -> None:
        _require(0 <= self.share < 1, f"prune={self.share:g}", "0 <= prune < 1; give the share to remove")
        _require(self.target in TARGETS, f"pruner.target={self.target}", " or ".join(TARGETS))
        _require(self.scope in SCOPES, f"pruner.scope={self.scope}", " or ".join(SCOPES))
        if self.scope == "measured" and self.data is None:
            raise InputError("pruner.scope=measured needs labelled images; give data, or pruner.scope=local.")
        _require(self.round_to >= 1, f"pruner.round_to={self.round_to}", "1 or more; give 8, 16 or 32")
        _require(0 < self.max_ratio < 1, f"pruner.max_ratio={self.max_ratio:g}", "0 < max_ratio < 1")
        _require(self.min_width >= 1, f"pruner.min_width={self.min_width}", "1 or more")
        _require(self.steps >= 1, f"pruner.steps={self.steps}", "1 or more")
        _require(self.images >= 1, f"pruner.images={self.images}", "1 or more")


def _require(valid: bool, setting: str, allowed: str) -> None:
    if not valid:
        raise InputError(f"{setting} is out of range; allowed is {allowed}.")
