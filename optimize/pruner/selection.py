"""Decide which channels go, without touching the model."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from torch import nn

from optimize.errors import InputError
from optimize.measure.cost import Cost
from optimize.pruner.blocks import Block, blocks
from optimize.pruner.budget import allowed, search
from optimize.pruner.flops import Flops
from optimize.pruner.score import Criterion, Importance, scores
from optimize.pruner.trace import Trace
from optimize.pruner.tracker import trace
from optimize.yolo import coupling


@dataclass(frozen=True)
class Selection:
    """What to remove from a model.

    Attributes:
        trace: where the channels of the model lie.
        blocks: how they are coupled.
        keep: for each block which units stay, a bool array of shape (units,).
        dense: for each block why it can't shrink, or "".
        flops: the FLOPs that will be left, calculated.
        ratio: share of the removable channels at which the search ended.
    """

    trace: Trace
    blocks: list[Block]
    keep: list[np.ndarray]
    dense: list[str]
    flops: float
    ratio: float

    def removed(self) -> list[np.ndarray]:
        """For each use of the trace the positions of the channels that go, ascending."""
        gone: list[list[np.ndarray]] = [[] for _ in self.trace.uses]
        for block, stays in zip(self.blocks, self.keep, strict=True):
            for part in block.parts:
                gone[part.use].append(part.positions[:, ~stays].ravel())
        return [np.sort(np.concatenate(positions)) for positions in gone]

    def reasons(self) -> list[str]:
        """For each use of the trace why its channels can't shrink, or ""; with several reasons the first."""
        why = [""] * len(self.trace.uses)
        for block, reason in zip(self.blocks, self.dense, strict=True):
            for part in block.parts:
                why[part.use] = why[part.use] or reason
        return why


def select(
    model: nn.Module,
    cost: Cost,
    imgsz: int,
    share: float,
    criterion: Criterion,
    scope: str,
    round_to: int,
    max_ratio: float,
) -> Selection:
    """Choose what to remove so that `share` of the FLOPs of `model` is gone; `cost` is that of its deployed form.

    Raises:
        TargetOutOfReach: the share can't be reached; names the largest that can.
    """
    traced = trace(coupling.traceable(model), imgsz, coupling.RULES, coupling.HALVING, coupling.predictions)
    found = blocks(traced)
    ranks, dense = _rank(criterion(model), model, traced, found)
    options = []
    for i, block in enumerate(found):
        options.append(np.array([block.units]) if dense[i] else allowed(block, round_to, max_ratio))
        if len(options[i]) == 1:
            dense[i] = dense[i] or f"too narrow to shrink in steps of {round_to}"
    names = coupling.unfused_names(model)
    running = {names.get(layer.name, layer.name) for layer in cost.layers if layer.flops}
    flops = Flops(traced, found, running, cost.flops)
    choice = search(flops, options, _removal(ranks, options, scope), share)
    keep = [_best(rank, count, block.units) for rank, count, block in zip(ranks, choice.kept, found, strict=True)]
    return Selection(traced, found, keep, dense, flops(choice.kept), choice.ratio)


def _rank(
    importance: Importance, model: nn.Module, traced: Trace, found: list[Block]
) -> tuple[list[np.ndarray | None], list[str]]:
    """The scores of each block that may shrink, and for each block the reason why it may not, or ""."""
    ranks, dense = [], []
    for block in found:
        score = None if block.frozen else scores(importance, model, traced, block)
        if score is not None and not np.isfinite(score).all():
            raise InputError("The criterion gives scores that are not finite; give a checkpoint without NaN weights.")
        ranks.append(score)
        dense.append(block.frozen or ("" if score is not None else "the criterion finds nothing to score"))
    return ranks, dense


def _removal(ranks: list[np.ndarray | None], options: list[np.ndarray], scope: str) -> Callable[[float], np.ndarray]:
    """For a ratio of channels, how many units each block loses: by rank over all blocks, or each in proportion."""
    full = np.array([option[-1] for option in options])
    movable = np.array([len(option) > 1 for option in options])
    if scope == "local":
        return lambda ratio: ratio * full * movable
    pooled = np.concatenate([np.empty(0), *(ranks[i] for i in np.flatnonzero(movable))])
    owner = np.repeat(np.flatnonzero(movable), full[movable])
    weakest_first = owner[pooled.argsort(kind="stable")]
    return lambda ratio: np.bincount(weakest_first[: round(ratio * len(pooled))], minlength=len(options))


def _best(rank: np.ndarray | None, count: int, units: int) -> np.ndarray:
    keep = np.ones(units, bool)
    if count < units:
        keep[rank.argsort(kind="stable")[: units - count]] = False
    return keep
