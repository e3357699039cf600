"""Decide which channels go, without touching the model."""

from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatchcase

import numpy as np
from torch import nn

from optimize.errors import InputError
from optimize.input_size import Size
from optimize.measure.cost import Cost
from optimize.pruner.blocks import Block, blocks
from optimize.pruner.budget import Goal, allowed, cheapest, check_reach, search
from optimize.pruner.score import Importance, scores
from optimize.pruner.sensitivity import rises
from optimize.pruner.settings import Pruning
from optimize.pruner.size import Remaining, terms
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
        left: how much of the target will be left, calculated.
        ratio: share of the removable channels at which the search ended; None where layers were measured one by one.
    """

    trace: Trace
    blocks: list[Block]
    keep: list[np.ndarray]
    dense: list[str]
    left: float
    ratio: float | None

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


def select(model: nn.Module, imgsz: Size, settings: Pruning, cost: Cost, now: float, goal: Goal) -> Selection:
    """Choose what to remove from `model` to reach `goal`.

    Args:
        cost: of the deployed form of `model`.
        now: how much of the goal's target `model` has.

    Raises:
        TargetOutOfReach: the goal can't be reached; names the largest share that can.
        InputError: a protected name fits no layer.
    """
    traced = trace(coupling.traceable(model), imgsz, coupling.RULES, coupling.HALVING, coupling.predictions)
    found = blocks(traced)
    ranks, dense = _rank(settings.criterion(model, imgsz), model, traced, found)
    protected = _protected(traced, settings.protect)
    options = []
    for i, block in enumerate(found):
        dense[i] = dense[i] or next((protected[part.use] for part in block.parts if part.use in protected), "")
        widths = allowed(block, settings.round_to, settings.max_ratio, settings.min_width)
        options.append(np.array([block.units]) if dense[i] else widths)
        if len(options[i]) == 1:
            dense[i] = dense[i] or f"too narrow to shrink in steps of {settings.round_to}"
    names = coupling.unfused_names(model)
    running = {names.get(layer.name, layer.name) for layer in cost.layers if layer.flops}
    size = Remaining(traced, found, terms(goal.target, model, traced, running), now)
    check_reach(size, options, goal)
    if settings.scope == "measured" and settings.data is not None:  # `Pruning` refuses the one without the other
        risen = rises(
            model,
            traced,
            found,
            options,
            ranks,
            data=settings.data,
            images=settings.images,
            seed=settings.seed,
            imgsz=imgsz,
        )
        choice = cheapest(size, options, risen, goal)
    else:
        choice = search(size, options, _removal(ranks, options, settings.scope), goal)
    keep = [_best(rank, count, block.units) for rank, count, block in zip(ranks, choice.kept, found, strict=True)]
    return Selection(traced, found, keep, dense, size(choice.kept), choice.ratio)


def _protected(traced: Trace, patterns: tuple[str, ...]) -> dict[int, str]:
    """The uses whose layer makes channels and has a protected name, with the reason that the report gives."""
    made = {i: use.layer for i, use in enumerate(traced.uses) if use.side in ("out", "both")}
    found = {i: f"protected by {p}" for p in reversed(patterns) for i, name in made.items() if fnmatchcase(name, p)}
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in made.values()):
            raise InputError(
                f"pruner.protect={pattern} fits no layer; give names as they stand in the report, e.g. "
                f"{next(iter(made.values()))}, or patterns such as model.0.*"
            )
    return found


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
    if rank is not None:
        keep[rank.argsort(kind="stable")[: units - count]] = False
    return keep
