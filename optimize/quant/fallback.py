"""Returns layers to float, one by one, where int8 loses too much accuracy."""

import logging
from bisect import bisect_left
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from optimize.errors import MeasurementError
from optimize.judge import Judge
from optimize.quant.sensitivity import rank
from optimize.runtime.session import Quantizer
from optimize.variant import Variant

log = logging.getLogger(__name__)

WORST = 5  # layers whose effect on the metric is measured; the others are ordered by noise alone
LEAST_INT8 = 0.5  # with less than this share of the operations in int8, bf16 or fp16 is the better choice


@dataclass(frozen=True)
class Trial:
    """One int8 file and its score.

    Attributes:
        recipe: the name of its recipe.
        quantizer: the calibrated model that wrote it.
        floats: layers that stayed in float, besides those that the recipe leaves in float.
        variant: the int8 file.
        score: the task's main metric, 0 to 1.
    """

    recipe: str
    quantizer: Quantizer
    floats: tuple[str, ...]
    variant: Variant
    score: float


def toward_float(
    first: Trial,
    write: Callable[[tuple[str, ...]], Variant],
    score: Callable[[Variant], float],
    judge: Judge,
    source: Variant,
    goal: float,
) -> Iterator[Trial]:
    """Yield `first`, then trials with one more layer in float each, until one scores `goal` or too little is int8.

    Layers are ordered by the noise that each adds to the inputs of the box decoding. The worst few are ordered by the
    metric that each alone recovers, since not all noise changes the metric. If these few together don't reach `goal`,
    and neither do as many as may return, it ends there.

    Args:
        first: the trial with all layers in int8.
        write: makes a file with the given layers in float.
        score: of such a file, 0 to 1.
        judge: counts operations.
        source: the float variant.
        goal: the score to reach, 0 to 1.

    Raises:
        MeasurementError: the runtime doesn't count the operations of its int8 files.
    """
    yield first
    ranked = [layer for layer, _ in rank(first.quantizer, source.path)]
    worst = sorted(ranked[:WORST], key=lambda layer: -score(write((layer,))))
    order = (*worst, *ranked[WORST:])
    for count in range(1, len(order) + 1):
        if count == WORST + 1 and not _within_reach(order, write, score, judge, goal):
            return
        variant = write(order[:count])
        if _is_mostly_float(variant, judge):
            return
        trial = replace(first, floats=order[:count], variant=variant, score=score(variant))
        log.info("%s in float: %.4f", order[count - 1], trial.score)
        yield trial
        if trial.score >= goal:
            return


def _within_reach(
    order: tuple[str, ...],
    write: Callable[[tuple[str, ...]], Variant],
    score: Callable[[Variant], float],
    judge: Judge,
    goal: float,
) -> bool:
    """Whether as many layers as may return score `goal`."""
    most = bisect_left(range(1, len(order) + 1), True, key=lambda count: _is_mostly_float(write(order[:count]), judge))
    if score(write(order[:most])) >= goal:
        return True
    log.info("%d layers in float, all that may be, are not enough", most)
    return False


def _is_mostly_float(variant: Variant, judge: Judge) -> bool:
    cost = judge.count(variant)
    if cost is None:
        raise MeasurementError(
            f"{variant.runtime} counts no operations in its int8 files, so it is not known how much stays int8 when "
            "layers return to float; allow the loss with a larger quant.max_drop, or leave this runtime out."
        )
    return cost.int_ops < LEAST_INT8 * cost.ops
