"""Layers back to float, one by one, where int8 loses too much."""

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from optimize.errors import MeasurementError
from optimize.judge import Judge
from optimize.quant.sensitivity import rank
from optimize.runtime.session import Quantizer
from optimize.variant import Variant

log = logging.getLogger(__name__)

WORST = 5  # layers whose own effect on the metric is measured; the noise alone orders the others
LEAST_INT8 = 0.5  # with less than this share of the operations in int8, bf16 or fp16 is the better choice


@dataclass(frozen=True)
class Trial:
    """One int8 file that was made, and what became of it.

    Attributes:
        recipe: the name of its recipe.
        quantizer: wrote it.
        floats: layers that stayed in float besides the recipe's own.
        variant: the file.
        score: the task's main metric, 0 to 1.
    """

    recipe: str
    quantizer: Quantizer
    floats: tuple[str, ...]
    variant: Variant
    score: float


def toward_float(
    first: Trial,
    attempt: Callable[[tuple[str, ...]], Trial],
    judge: Judge,
    source: Variant,
    goal: float,
) -> Iterator[Trial]:
    """`first`, then trials of which each has one more layer in float, until one scores `goal` or too little is int8.

    The order: by the noise that each layer adds to what the decode is given; of the worst few, by the metric that each
    alone gives back, since noise that the metric does not feel is not worth the time.

    Args:
        first: all layers in int8.
        attempt: makes and scores a file with the given layers in float.
        judge: counts operations.
        source: the float variant.
        goal: the score to reach, 0 to 1.

    Raises:
        MeasurementError: the runtime doesn't count the operations of its int8 files.
    """
    yield first
    ranked = [layer for layer, _ in rank(first.quantizer, source.path)]
    worst = sorted(ranked[:WORST], key=lambda layer: -attempt((layer,)).score)
    order = (*worst, *ranked[WORST:])
    for count in range(1, len(order) + 1):
        trial = attempt(order[:count])
        cost = judge.count(trial.variant)
        if cost is None:
            raise MeasurementError(
                f"{source.runtime} counts no operations in its int8 files, so how much stays int8 while layers return "
                "to float is not known; allow the loss with a larger quant.max_drop, or leave this runtime out."
            )
        if cost.int_ops < LEAST_INT8 * cost.ops:
            return
        log.info("%s in float: %.4f", order[count - 1], trial.score)
        yield trial
        if trial.score >= goal:
            return
