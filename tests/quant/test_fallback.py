"""Layers return to float only as long as it is known how much stays int8."""

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest

from optimize.errors import MeasurementError
from optimize.input_size import square
from optimize.quant.fallback import Trial, toward_float
from optimize.variant import Variant

SOURCE = Variant(Path("source.bin"), "standin", "fp32", square(32))


@dataclass
class Quantizer:
    """Two layers; each adds as much noise as the other."""

    layers: list[str] = field(default_factory=lambda: ["first", "second"])
    images: list[np.ndarray] = field(default_factory=lambda: [np.zeros((1, 3, 32, 32), np.float32)])

    def write(self, target: Path, floats=()) -> None:
        target.touch()

    def logits(self, path: Path):
        return lambda image: [np.arange(4.0)]


class Uncounting:
    """The judge of a runtime that counts nothing."""

    def count(self, variant: Variant) -> None:
        return None


def test_a_runtime_that_counts_no_operations_is_named():
    first = Trial("recipe", Quantizer(), (), replace(SOURCE, precision="int8"), score=0.1)
    way = toward_float(first, lambda floats: replace(first, floats=floats), Uncounting(), SOURCE, goal=0.5)
    assert next(way) is first
    with pytest.raises(MeasurementError, match=r"standin.*quant\.max_drop"):
        next(way)
