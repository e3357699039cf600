"""Layers return to float one by one, but only where that may help and it is known how much stays int8."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from optimize.errors import MeasurementError
from optimize.input_size import square
from optimize.measure.graph_cost import GraphCost
from optimize.quant.fallback import WORST, Trial, toward_float
from optimize.variant import Variant

SOURCE = Variant(Path("source.bin"), "standin", "fp32", square(32))


LAYERS = [str(i) for i in range(20)]  # each has as many operations as the others
MOST = len(LAYERS) // 2  # of them may return
GOAL = 0.5


class Quantizer:
    """Each layer adds as much noise as the others."""

    layers = LAYERS
    images = (np.zeros((1, 3, 32, 32), np.float32),)

    def write(self, target: Path, floats=()) -> None:
        target.touch()

    def logits(self, path: Path):
        return lambda image: [np.arange(4.0)]


FIRST = Trial("recipe", Quantizer(), (), replace(SOURCE, precision="int8"), score=0.1)


def write(floats: tuple[str, ...]) -> Variant:
    return FIRST.variant.after(" ".join(floats))


def floats_of(variant: Variant) -> int:
    return len(variant.steps[-1].split())


@dataclass
class Scores:
    """What a file scores with so many layers in float, and which were asked for."""

    reached_with: int
    asked: list[int]

    def __call__(self, variant: Variant) -> float:
        self.asked.append(floats_of(variant))
        return GOAL if floats_of(variant) >= self.reached_with else FIRST.score


class Counting:
    def count(self, variant: Variant) -> GraphCost:
        back = floats_of(variant)
        return GraphCost(back, len(LAYERS) - back, parameters=0, weight_bytes=0, uncounted=())


class Uncounting:
    """The judge of a runtime that counts nothing."""

    def count(self, variant: Variant) -> None:
        return None


SINGLE = [1] * WORST


@pytest.mark.parametrize(
    ("reached_with", "tried", "scored"),
    [
        (2, [0, 1, 2], [1, 2]),
        (WORST, [0, 1, 2, 3, 4, 5], [1, 2, 3, 4, 5]),
        (7, [0, 1, 2, 3, 4, 5, 6, 7], [1, 2, 3, 4, 5, MOST, 6, 7]),
        (MOST, [*range(MOST + 1)], [1, 2, 3, 4, 5, MOST, 6, 7, 8, 9, MOST]),
        (MOST + 1, [0, 1, 2, 3, 4, 5], [1, 2, 3, 4, 5, MOST]),  # out of reach: the others are not tried
    ],
)
def test_layers_return_until_the_goal_is_reached_or_out_of_reach(reached_with, tried, scored):
    score = Scores(reached_with, [])
    trials = list(toward_float(FIRST, write, score, Counting(), SOURCE, GOAL))
    assert [len(trial.floats) for trial in trials] == tried
    assert score.asked == [*SINGLE, *scored]
    assert [trial.score for trial in trials] == [GOAL if count >= reached_with else 0.1 for count in tried]


def test_a_runtime_that_counts_no_operations_is_named():
    way = toward_float(FIRST, write, lambda variant: 0.1, Uncounting(), SOURCE, GOAL)
    assert next(way) is FIRST
    with pytest.raises(MeasurementError, match=r"standin.*quant\.max_drop"):
        next(way)
