"""Pictures of the training split, prepared for calibration one at a time."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

import numpy as np

from optimize.errors import InputError
from optimize.yolo.image import validation_image


@dataclass(frozen=True)
class CalibrationImages:
    """Iterates over (1, 3, imgsz, imgsz) float32 arrays in 0..1; read anew each time, so memory holds one picture."""

    files: tuple[Path, ...]
    imgsz: int

    def __iter__(self) -> Iterator[np.ndarray]:
        return (validation_image(file, self.imgsz) for file in self.files)

    def __len__(self) -> int:
        return len(self.files)


def images(train: Sequence[Path], count: int, seed: int, imgsz: int) -> CalibrationImages:
    """A seeded sample of `count` of the `train` pictures, or all where there are fewer.

    Raises:
        InputError: there is nothing to choose from, or nothing to choose.
    """
    if count < 1:
        raise InputError(f"quant.calibration_images={count} must be at least 1; 128 is the default.")
    if not train:
        raise InputError("the training split has no pictures to calibrate int8 with; give data= a set that has some.")
    return CalibrationImages(tuple(Random(seed).sample(sorted(train), min(count, len(train)))), imgsz)
