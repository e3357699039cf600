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
    """Number of units of each block to keep, and the ratio of channels found by bisection; None without bisection."""

    kept: np.ndarray
    ratio: float | None


@dataclass(frozen=True)
class Goal:
    """The goal of pruning.

    Attributes:
        target: the quantity to reduce, `flops`, `params` or `channels`.
        whole: the quantity in the original; with several pruning steps this is not the model that is pruned now.
        share: share of `whole` to remove.
    """

    target: str
    whole: float
    share: float


def allowed(block: Block, round_to: int, max_ratio: float, min_width: int) -> np.ndarray:
    """The numbers of units that a block may keep, ascending; the last is all of them.

    The narrowest layer of the block must have a multiple of `round_to` channels, and at least `min_width`. A unit of
    attention is one channel in every head, so fewer units reach that width.
    """
    narrowest = min(len(part.positions) for part in block.parts)
    step = round_to // gcd(round_to, narrowest)
    share = ceil(round(block.units * (1 - max_ratio), 6))  # 10 * (1 - 0.7) is a little more than 3
    floor = min(max(step, share, ceil(min_width / narrowest)), block.units)
    return np.array([*range(ceil(floor / step) * step, block.units, step), block.units])


def check_reach(cost: Callable[[np.ndarray], float], options: list[np.ndarray], goal: Goal) -> None:
    """Check that the narrowest allowed model meets `goal`; `cost` and `options` as in `search`.

    Raises:
        TargetOutOfReach: it doesn't; the sentence states the largest share that can be removed.
    """
    least = cost(np.array([option[0] for option in options]))
    if least > goal.whole * (1 - goal.share + TOLERANCE):
        most = int(1000 * (1 - least / goal.whole)) / 1000
        raise TargetOutOfReach(
            f"prune={goal.share:g} can't be reached: with these settings of the pruner the model loses at most "
            f"{most:.3f} of its {goal.target}; lower prune or pruner.round_to, or raise pruner.max_ratio.",
            most,
        )


def search(
    cost: Callable[[np.ndarray], float],
    options: list[np.ndarray],
    removed: Callable[[float], np.ndarray],
    goal: Goal,
) -> Choice:
    """Bisect the ratio of channels, then refine block by block, until the cost meets `goal`, which must be in reach.

    Args:
        cost: returns the goal's target, e.g. FLOPs, for a number of units per block.
        options: for each block the numbers of units that it may keep, ascending.
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
    costs: Callable[[np.ndarray], np.ndarray], options: list[np.ndarray], rises: list[np.ndarray], goal: Goal
) -> Choice:
    """Repeatedly narrow the block with the least rise of the loss per saved cost, until `goal` is met.

    Args:
        costs: returns the goal's target for each row of units per block, (rows, blocks) -> (rows,).
        options: as in `search`.
        rises: for each block the rise of the loss at each of its options, see `sensitivity.rises`.
    """
    budget, tolerance = goal.whole * (1 - goal.share), TOLERANCE * goal.whole
    at = [len(option) - 1 for option in options]
    kept = np.array([option[-1] for option in options])

    def cost(kept: np.ndarray) -> float:
        return float(costs(kept[np.newaxis])[0])

    while (now := cost(kept)) > budget + tolerance:
        moves = [(block, lower) for block in range(len(options)) for lower in range(at[block])]
        trials = np.repeat(kept[np.newaxis], len(moves), axis=0)
        for trial, (block, lower) in zip(trials, moves, strict=True):
            trial[block] = options[block][lower]
        ranked = [
            ((rises[block][lower] - rises[block][at[block]]) / saved, -saved, block, lower)
            for (block, lower), saved in zip(moves, now - costs(trials), strict=True)
            if 0 < saved <= now - budget + tolerance
        ]
        if not ranked:  # every cut that is left overshoots
            return Choice(_polish(cost, options, kept, budget, tolerance), None)
        *_, block, lower = min(ranked)
        at[block], kept[block] = lower, options[block][lower]
    return Choice(kept, None)


def _between(cost: Callable[[np.ndarray], float], wide: np.ndarray, narrow: np.ndarray, budget: float) -> np.ndarray:
    """Narrow single blocks from `wide` to `narrow` as long as the cost comes closer to `budget`.

    Rounding lets many blocks change at the same ratio, so the two results of the bisection may be far apart.
    """
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
    """Change single blocks by one option, the best change first, while the cost comes closer to `budget`."""
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
