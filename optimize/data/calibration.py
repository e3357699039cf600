"""Chooses calibration images from the training split, and prepares them one at a time."""

import logging
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from random import Random

import numpy as np

from optimize.dataset import Dataset
from optimize.errors import InputError
from optimize.input_size import Size
from optimize.work import Calibration
from optimize.yolo.image import validation_image

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class CalibrationImages:
    """Iterates over (1, 3, height, width) float32 arrays in 0..1; memory holds one image at a time.

    Attributes:
        files: images of the training split of `data`.
        imgsz: height and width of the arrays.
        data: the data set of the images.
        seed: the seed that chose them.
    """

    files: tuple[Path, ...]
    imgsz: Size
    data: Dataset
    seed: int

    def __iter__(self) -> Iterator[np.ndarray]:
        return (validation_image(file, self.imgsz, self.data.task) for file in self.files)

    def __len__(self) -> int:
        return len(self.files)

    def describe(self) -> Calibration:
        """The record for the report: number of images, source, seed, and number of images by class."""
        shown = [self.data.classes.get(file, frozenset()) for file in self.files]
        counts = Counter(i for classes in shown for i in classes)
        return Calibration(
            images=len(self.files),
            source=f"{'/'.join(self.data.yaml.parts[-2:])}, training split",
            seed=self.seed,
            images_by_class={name: counts[i] for i, name in enumerate(self.data.titles)},
            without_labels=sum(not classes for classes in shown),
        )


def calibration_images(data: Dataset, count: int, seed: int, imgsz: Size) -> CalibrationImages:
    """Choose `count` images of the training split, balanced over the classes; all images where there are fewer.

    Raises:
        InputError: the training split is empty.
    """
    images = CalibrationImages(tuple(_balanced(data, count, seed)), imgsz, data, seed)
    log.info(_sentence(images.describe()))
    return images


def sample(data: Dataset, count: int, seed: int, imgsz: Size) -> CalibrationImages:
    """As `calibration_images`, but drawn uniformly, for statistics with the data set's own class frequencies."""
    files = sorted(_training(data))
    return CalibrationImages(tuple(Random(seed).sample(files, min(count, len(files)))), imgsz, data, seed)


def _sentence(chosen: Calibration) -> str:
    counts = chosen.images_by_class.values()
    return (
        f"calibrating with {chosen.images} images of {chosen.source}, seed {chosen.seed}: they show "
        f"{sum(count > 0 for count in counts)} of {len(counts)} classes, the rarest in {min(counts)} images; "
        f"{chosen.without_labels} have no labels"
    )


def _training(data: Dataset) -> tuple[Path, ...]:
    if not data.train:
        raise InputError("the training split has no images to calibrate with; give data= a set that has some.")
    return data.train


def _balanced(data: Dataset, count: int, seed: int) -> Iterator[Path]:
    """Choose images one by one, each of the class that the fewest chosen images show; then images without labels."""
    files = sorted(_training(data), key=lambda file: file.parts[::-1])  # by name: the same wherever the data set lies
    Random(seed).shuffle(files)
    shown = {file: data.classes.get(file, frozenset()) for file in files}
    left: dict[int, list[Path]] = defaultdict(list)
    for file, classes in shown.items():
        for i in classes:
            left[i].append(file)
    chosen: dict[Path, None] = {}
    seen: Counter[int] = Counter()
    while left and len(chosen) < count:
        rarest = min(left, key=lambda i: (seen[i], len(left[i]), i))
        file = left[rarest].pop()
        if not left[rarest]:
            del left[rarest]
        if file not in chosen:
            chosen[file] = None
            seen.update(shown[file])
    return islice(chain(chosen, (file for file in shown if file not in chosen)), count)
