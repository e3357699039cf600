"""The settings of pruning, validated."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args

from optimize.dataset import Dataset
from optimize.errors import InputError
from optimize.identity import OUTSIDE
from optimize.pruner.latency.deployment import Deployment
from optimize.pruner.score import Criterion
from optimize.pruner.size import Counted

LATENCY = "latency"  # the target that is measured, not counted
Target = Literal[Counted, "latency"]
Scope = Literal["measured", "local", "global"]


@dataclass(frozen=True)
class Pruning:
    """How to prune; the keys are explained in conf/pruner/l2.yaml.

    Attributes:
        criterion: scores how much channels matter.
        original: with several steps, the checkpoint that `share` refers to; None for the checkpoint that is pruned.
            Not in the repr, since every variant's first step is its digest.
        deployment: whose latency is the target; None for other targets.
        data: the data set on whose training images the scope `measured` measures the loss; None for other scopes.
    """

    share: float
    criterion: Criterion
    original: Path | None = field(default=None, repr=False, metadata=OUTSIDE)
    target: Target = "flops"
    scope: Scope = "local"
    round_to: int = 16
    max_ratio: float = 0.75
    min_width: int = 8
    protect: tuple[str, ...] = ()
    steps: int = 1
    depth: bool | None = None
    deploy: str | None = field(default=None, metadata=OUTSIDE)  # `deployment` stands for both
    table: Path | None = field(default=None, metadata=OUTSIDE)
    deployment: Deployment | None = None
    data: Dataset | None = None
    images: int = 16
    seed: int = 0
    device: str | None = field(default=None, metadata=OUTSIDE)

    @property
    def removes_branches(self) -> bool:
        return self.target == LATENCY and self.steps == 1 if self.depth is None else self.depth

    def __post_init__(self) -> None:
        _require(0 <= self.share < 1, f"prune={self.share:g}", "0 <= prune < 1; give the share to remove")
        for key, words in ("target", Target), ("scope", Scope):
            value, allowed = getattr(self, key), get_args(words)
            _require(value in allowed, f"pruner.{key}={value}", " or ".join(allowed))
        if self.depth and self.scope != "measured":
            raise InputError(
                f"pruner.depth=true needs pruner.scope=measured, which measures what a block is worth, and the scope "
                f"is {self.scope}; give pruner.scope=measured, or leave pruner.depth out."
            )
        if self.depth and self.steps > 1:
            raise InputError(
                f"pruner.depth=true can't be combined with pruner.steps={self.steps}, since blocks that go renumber "
                "those that stay, and the next cut couldn't tell them apart; give pruner.steps=1 or pruner.depth=false."
            )
        for key in ("deploy", "table"):
            if getattr(self, key) is not None and self.target != LATENCY:
                raise InputError(
                    f"pruner.{key}={getattr(self, key)} is for pruner.target={LATENCY}, and the target is "
                    f"{self.target}; give pruner.target={LATENCY}, or leave pruner.{key} out."
                )
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
