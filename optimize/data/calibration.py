"""Pictures of the training split, prepared for calibration one at a time."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random

import numpy as np

from optimize.data.dataset import Dataset
from optimize.errors import InputError
from optimize.yolo.image import validation_image


@dataclass(frozen=True)
class CalibrationImages:
    """Iterates over (1, 3, imgsz, imgsz) float32 arrays in 0..1; read anew each time, so memory holds one picture."""

    files: tuple[Path, ...]
    imgsz: int
    task: str

    def __iter__(self) -> Iterator[np.ndarray]:
        return (validation_image(file, self.imgsz, self.task) for file in self.files)

    def __len__(self) -> int:
        return len(self.files)


def images(data: Dataset, count: int, seed: int, imgsz: int) -> CalibrationImages:
    """A seeded sample of `count` pictures of the training split, or all where there are fewer.

    Raises:
        InputError: there is nothing to choose from, or nothing to choose.
    """
    if count < 1:
        raise InputError(f"quant.calibration_images={count} must be at least 1; 128 is the default.")
    if not data.train:
        raise InputError("the training split has no pictures to calibrate int8 with; give data= a set that has some.")
    chosen = Random(seed).sample(sorted(data.train), min(count, len(data.train)))
    return CalibrationImages(tuple(chosen), imgsz, data.task)
