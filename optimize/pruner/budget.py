"""Search how many units of each block to keep so that a target is met."""

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil, gcd

import numpy as np

from optimize.errors import TargetOutOfReach
from optimize.pruner.blocks import Block

TOLERANCE = 0.0025  # of the whole model: close enough to stop refining


@dataclass(frozen=True)
class Choice:
    """How many units of each block stay, and the ratio of channels that led there; None where no ratio did."""

    kept: np.ndarray
    ratio: float | None


@dataclass(frozen=True)
class Goal:
    """What to reach.

    Attributes:
        target: what shrinks, `flops`, `params` or `channels`.
        whole: how much of it the original has, which is not the model at hand where pruning goes in steps.
        share: of `whole`, to be gone.
    """

    target: str
    whole: float
    share: float


def allowed(block: Block, round_to: int, max_ratio: float, min_width: int) -> np.ndarray:
    """The numbers of units that a block may keep, ascending; the last is all of them.

    The narrowest layer of the block must have a multiple of `round_to` channels, and at least `min_width`: a unit of
    attention is one channel in every head, so that it needs fewer units for it.
    """
    narrowest = min(len(part.positions) for part in block.parts)
    step = round_to // gcd(round_to, narrowest)
    share = ceil(round(block.units * (1 - max_ratio), 6))  # 10 * (1 - 0.7) is a little more than 3
    floor = min(max(step, share, ceil(min_width / narrowest)), block.units)
    return np.array([*range(ceil(floor / step) * step, block.units, step), block.units])


def check_reach(cost: Callable[[np.ndarray], float], options: list[np.ndarray], goal: Goal) -> None:
    """Whether the narrowest allowed model costs little enough; `cost` and `options` as in `search`.

    Raises:
        TargetOutOfReach: it does not; names the largest share that can go.
    """
    least = cost(np.array([option[0] for option in options]))
    if least > goal.whole * (1 - goal.share + TOLERANCE):
        most = int(1000 * (1 - least / goal.whole)) / 1000
        raise TargetOutOfReach(
            f"prune={goal.share:g} can't be reached: at this rounding and with these limits the model loses at most "
            f"{most:.3f} of its {goal.target}; ask for less, or lower pruner.round_to or raise pruner.max_ratio."
        )


def search(
    cost: Callable[[np.ndarray], float],
    options: list[np.ndarray],
    removed: Callable[[float], np.ndarray],
    goal: Goal,
) -> Choice:
    """Bisect the ratio of channels, then refine block by block, until the cost is that of `goal`, which is in reach.

    Args:
        cost: FLOPs, or what else is to shrink, for a number of units per block.
        options: for each block the numbers that it may keep, ascending.
        removed: for a ratio between 0 and 1 the number of units that each block should lose, rising with the ratio.
    """
    full = np.array([option[-1] for option in options])
    budget, tolerance = goal.whole * (1 - goal.share), TOLERANCE * goal.whole

    def snapped(ratio: float) -> np.ndarray:
        wanted = full - removed(ratio)
        return np.array([option[np.abs(option - w).argmin()] for option, w in zip(options, wanted, strict=True)])

    low, high = 0.0, 1.0
    for _ in range(30):
        middle = (low + high) / 2
        low, high = (middle, high) if cost(snapped(middle)) > budget else (low, middle)
    kept = _between(cost, snapped(low), snapped(high), budget)
    return Choice(_polish(cost, options, kept, budget, tolerance), high)


def cheapest(
    cost: Callable[[np.ndarray], float], options: list[np.ndarray], rises: list[np.ndarray], goal: Goal
) -> Choice:
    """Narrow the block whose next cut raises the loss least for what it saves, until `goal` is met.

    Args:
        cost, options: as in `search`.
        rises: for each block the rise of the loss at each of its options, see `sensitivity.rises`.
    """
    budget, tolerance = goal.whole * (1 - goal.share), TOLERANCE * goal.whole
    at = [len(option) - 1 for option in options]
    kept = np.array([option[-1] for option in options])
    while (now := cost(kept)) > budget + tolerance:
        moves = []
        for block, option in enumerate(options):
            for lower in range(at[block]):
                trial = kept.copy()
                trial[block] = option[lower]
                saved = now - cost(trial)
                if 0 < saved <= now - budget + tolerance:
                    moves.append(((rises[block][lower] - rises[block][at[block]]) / saved, -saved, block, lower))
        if not moves:  # every cut that is left overshoots
            return Choice(_polish(cost, options, kept, budget, tolerance), None)
        *_, block, lower = min(moves)
        at[block], kept[block] = lower, options[block][lower]
    return Choice(kept, None)


def _between(cost: Callable[[np.ndarray], float], wide: np.ndarray, narrow: np.ndarray, budget: float) -> np.ndarray:
    """Rounding makes many blocks jump at one ratio: let them jump one after the other, as far as that helps."""
    kept = wide.copy()
    for block in np.flatnonzero(wide != narrow):
        trial = kept.copy()
        trial[block] = narrow[block]
        if abs(cost(trial) - budget) < abs(cost(kept) - budget):
            kept = trial
    return kept


def _polish(
    cost: Callable[[np.ndarray], float], options: list[np.ndarray], kept: np.ndarray, budget: float, tolerance: float
) -> np.ndarray:
    """Move single blocks by one step, the best move first, while that comes closer."""
    while (miss := abs(cost(kept) - budget)) > tolerance:
        trials = []
        for block, option in enumerate(options):
            at = int(np.searchsorted(option, kept[block]))
            for other in option[max(at - 1, 0) : at + 2]:
                trial = kept.copy()
                trial[block] = other
                trials.append((abs(cost(trial) - budget), trial))
        best, trial = min(trials, key=lambda pair: pair[0])
        if best >= miss:
            break
        kept = trial
    return kept
