"""Images of the training split, prepared for calibration one at a time."""

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
    """Iterates over (1, 3, height, width) float32 arrays in 0..1; read anew each time, so memory holds one image.

    Attributes:
        files: images of the training split of `data`.
        imgsz: of the arrays.
        data: the data set that they are from.
        seed: what chose them.
    """

    files: tuple[Path, ...]
    imgsz: Size
    data: Dataset
    seed: int

    def __iter__(self) -> Iterator[np.ndarray]:
        return (validation_image(file, self.imgsz, self.data.task) for file in self.files)

    def __len__(self) -> int:
        return len(self.files)

    def described(self) -> Calibration:
        """How many images, from where, by which seed, and how many of them show each class."""
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
    """`count` images of the training split, or all where there are fewer, so that every class is seen.

    Raises:
        InputError: there is nothing to choose from.
    """
    chosen = CalibrationImages(tuple(_balanced(data, count, seed)), imgsz, data, seed)
    log.info(_sentence(chosen.described()))
    return chosen


def sample(data: Dataset, count: int, seed: int, imgsz: Size) -> CalibrationImages:
    """As `calibration_images`, but every image is as likely: for statistics of the data as they are."""
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
    """Again and again an image of the class that is shown least so far; those without labels fill up."""
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
