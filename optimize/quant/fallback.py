"""Returns layers to float, one by one, where int8 loses too much accuracy."""

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass

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
    attempt: Callable[[tuple[str, ...]], Trial],
    judge: Judge,
    source: Variant,
    goal: float,
) -> Iterator[Trial]:
    """Yield `first`, then trials with one more layer in float each, until one scores `goal` or too little is int8.

    Layers are ordered by the noise that each adds to the inputs of the box decoding. The worst few are ordered by the
    metric that each alone recovers, since not all noise changes the metric.

    Args:
        first: the trial with all layers in int8.
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
                f"{source.runtime} counts no operations in its int8 files, so it is not known how much stays int8 when "
                "layers return to float; allow the loss with a larger quant.max_drop, or leave this runtime out."
            )
        if cost.int_ops < LEAST_INT8 * cost.ops:
            return
        log.info("%s in float: %.4f", order[count - 1], trial.score)
        yield trial
        if trial.score >= goal:
            return
