"""Selects the channels to remove, without changing the model."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

import numpy as np
from torch import nn

from optimize.errors import InputError
from optimize.input_size import Size
from optimize.measure.cost import Cost
from optimize.pruner.blocks import Block, blocks
from optimize.pruner.budget import Choice, Goal, allowed, cheapest, check_reach, search
from optimize.pruner.cut import cut
from optimize.pruner.score import rank
from optimize.pruner.sensitivity import Sensitivities, scores_of
from optimize.pruner.settings import Pruning
from optimize.pruner.size import Remaining, terms
from optimize.pruner.trace import Trace
from optimize.pruner.tracker import trace
from optimize.yolo import coupling, depth
from optimize.yolo.depth import Branch


@dataclass(frozen=True)
class Selection:
    """The units of a model to keep, and what follows from them.

    Attributes:
        trace: the layers that hold each channel of the model.
        blocks: the coupled channels.
        keep: for each block a bool array of shape (units,), true for units to keep.
        dense: for each block why it can't shrink, or "".
        left: how much of the target will remain, calculated.
        branches: that are removed as a whole.
        ratio: share of the removable channels at which the search ended; None where layers were measured one by one.
    """

    trace: Trace
    blocks: list[Block]
    keep: list[np.ndarray]
    dense: list[str]
    left: float
    ratio: float | None
    branches: tuple[Branch, ...] = ()

    def removed(self) -> list[np.ndarray]:
        """For each use of the trace the positions of the channels to remove, ascending."""
        gone: list[list[np.ndarray]] = [[] for _ in self.trace.uses]
        for block, stays in zip(self.blocks, self.keep, strict=True):
            for part in block.parts:
                gone[part.use].append(part.positions[:, ~stays].ravel())
        return [np.sort(np.concatenate(positions)) for positions in gone]

    def reasons(self) -> list[str]:
        """For each use of the trace the first reason why it can't get narrower, or ""."""
        reasons = [""] * len(self.trace.uses)
        for block, reason in zip(self.blocks, self.dense, strict=True):
            for part in block.parts:
                reasons[part.use] = reasons[part.use] or reason
        return reasons


def narrow(model: nn.Module, chosen: Selection) -> None:
    """Remove from `model`, in place, the channels and branches that `chosen` doesn't keep."""
    cut(model, chosen.trace.uses, chosen.removed())
    coupling.refresh(model)
    depth.remove(model, [branch.name for branch in chosen.branches])


Amount = Callable[[np.ndarray, tuple[Branch, ...]], np.ndarray]  # of units (..., blocks) and branches that are gone
Sizing = Callable[[Trace, list[Block]], Amount]


def counted(model: nn.Module, cost: Cost, target: str, now: float) -> Sizing:
    """What a model that keeps so many units of each block has of `target`, one of `size.TARGETS`.

    Args:
        model: the model.
        cost: of its deployed form.
        target: what is counted.
        now: how much `model` has of it.
    """
    names = coupling.unfused_names(model)
    running = {names.get(layer.name, layer.name) for layer in cost.layers if layer.flops}
    return lambda traced, coupled: Remaining(traced, coupled, terms(target, model, traced, running), now)


def select(
    model: nn.Module,
    imgsz: Size,
    settings: Pruning,
    goal: Goal,
    sizing: Sizing,
    scanned: Sensitivities | None = None,
) -> Selection:
    """Select the channels to remove from `model` to reach `goal`.

    Args:
        sizing: from the trace of `model` and its blocks to how much of the goal's target is left, as a function of the
            units that each block keeps and of the branches that are removed.
        scanned: what `Scan` measured of `model`, for the scope `measured`.

    Raises:
        TargetOutOfReach: the goal can't be reached; the sentence states the largest share that can.
        InputError: a protected name matches no layer.
        MeasurementError: `scanned` is of another model.
    """
    traced = trace(coupling.traceable(model), imgsz, coupling.RULES, coupling.HALVING, coupling.predictions)
    coupled = blocks(traced)
    ranks = (
        rank(settings.criterion, model, imgsz, traced, coupled)
        if scanned is None
        else scores_of(scanned.blocks, coupled)
    )
    dense = [
        block.frozen or ("" if scores is not None else "the criterion can't score it")
        for block, scores in zip(coupled, ranks, strict=True)
    ]
    protected = _protected(traced, settings.protect)
    options = []
    for i, block in enumerate(coupled):
        dense[i] = dense[i] or next((protected[part.use] for part in block.parts if part.use in protected), "")
        widths = allowed(block, settings.round_to, settings.max_ratio, settings.min_width)
        options.append(np.array([block.units]) if dense[i] else widths)
        if len(options[i]) == 1:
            dense[i] = dense[i] or f"too narrow to shrink in steps of {settings.round_to}"
    size = sizing(traced, coupled)
    if scanned is None:
        check_reach(lambda kept: float(size(kept, ())), options, goal)
        choice = search(lambda kept: float(size(kept, ())), options, _removal(ranks, options, settings.scope), goal)
        units, gone = choice.kept, tuple[Branch, ...]()
    else:
        rises = [measured.at(option) for measured, option in zip(scanned.blocks, options, strict=True)]
        branches = _branches(model, settings, scanned.branches)
        choice = _with_branches(size, options, rises, {b: scanned.branches[b.name] for b in branches}, goal)
        units, gone = choice.kept[: len(coupled)], _gone(branches, choice.kept[len(coupled) :])
    keep = [_best(scores, count, block.units) for scores, count, block in zip(ranks, units, coupled, strict=True)]
    return Selection(traced, coupled, keep, dense, float(size(units, gone)), choice.ratio, gone)


def _branches(model: nn.Module, settings: Pruning, rises: Mapping[str, float]) -> list[Branch]:
    """The branches of `model` that may go: those that were scanned, without a layer that is protected."""
    if not settings.removes_branches:
        return []
    layers = [name for name, module in model.named_modules() if not [*module.children()]]
    kept = [name for name in layers if any(fnmatchcase(name, pattern) for pattern in settings.protect)]
    return [b for b in depth.removable(model) if b.name in rises and not any(b.holds(name) for name in kept)]


def _with_branches(
    size: Amount, options: list[np.ndarray], rises: list[np.ndarray], branches: dict[Branch, float], goal: Goal
) -> Choice:
    """The choice among widths and branches; `kept` ends with 0 for each branch that goes, and 1 for each that stays."""
    count = len(options)

    def costs(rows: np.ndarray) -> np.ndarray:
        result = np.empty(len(rows))
        alike = defaultdict[tuple[int, ...], list[int]](list)  # rows by the branches that stay
        for i, row in enumerate(rows):
            alike[tuple(row[count:])].append(i)
        for present, at in alike.items():
            result[at] = size(rows[at, :count], _gone(list(branches), present))
        return result

    every = [*options, *[np.array([0, 1])] * len(branches)]
    check_reach(lambda kept: float(costs(kept[np.newaxis])[0]), every, goal)
    return cheapest(costs, every, [*rises, *(np.array([max(rise, 0.0), 0.0]) for rise in branches.values())], goal)


def _gone(branches: Sequence[Branch], present: Iterable[int]) -> tuple[Branch, ...]:
    return tuple(branch for branch, stays in zip(branches, present, strict=True) if not stays)


def _protected(traced: Trace, patterns: tuple[str, ...]) -> dict[int, str]:
    """The uses with the output channels of protected layers, each with the reason for the report."""
    layers = {i: use.layer for i, use in enumerate(traced.uses) if use.side in ("out", "both")}
    reasons = {i: f"protected by {p}" for p in reversed(patterns) for i, name in layers.items() if fnmatchcase(name, p)}
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in layers.values()):
            raise InputError(
                f"pruner.protect={pattern} matches no layer; give names of layers as in the report, e.g. "
                f"{next(iter(layers.values()))}, or patterns such as model.0.*"
            )
    return reasons


def _removal(ranks: list[np.ndarray | None], options: list[np.ndarray], scope: str) -> Callable[[float], np.ndarray]:
    """A function from a ratio of channels to the units that each block loses: by global rank, or all in proportion."""
    full = np.array([option[-1] for option in options])
    movable = np.array([len(option) > 1 for option in options])
    if scope == "local":
        return lambda ratio: ratio * full * movable
    pooled = np.concatenate([np.empty(0), *(ranks[i] for i in np.flatnonzero(movable))])
    owner = np.repeat(np.flatnonzero(movable), full[movable])
    weakest_first = owner[pooled.argsort(kind="stable")]
    return lambda ratio: np.bincount(weakest_first[: round(ratio * len(pooled))], minlength=len(options))


def _best(scores: np.ndarray | None, count: int, units: int) -> np.ndarray:
    keep = np.ones(units, bool)
    if scores is not None:
        keep[scores.argsort(kind="stable")[: units - count]] = False
    return keep
