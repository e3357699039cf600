"""Pictures of the training split, prepared for calibration one at a time."""

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
from optimize.yolo.image import validation_image

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class CalibrationImages:
    """Iterates over (1, 3, imgsz, imgsz) float32 arrays in 0..1; read anew each time, so memory holds one picture.

    Attributes:
        files: pictures of the training split of `data`.
        imgsz: side of the arrays in pixels.
        data: the data set that they are from.
        seed: what chose them.
    """

    files: tuple[Path, ...]
    imgsz: int
    data: Dataset
    seed: int

    def __iter__(self) -> Iterator[np.ndarray]:
        return (validation_image(file, self.imgsz, self.data.task) for file in self.files)

    def __len__(self) -> int:
        return len(self.files)

    def described(self) -> dict:
        """For report.json: how many pictures, from where, by which seed, and how many of them show each class."""
        shown = [self.data.classes.get(file, frozenset()) for file in self.files]
        counts = Counter(i for classes in shown for i in classes)
        return {
            "pictures": len(self.files),
            "source": f"{'/'.join(self.data.yaml.parts[-2:])}, training split",
            "seed": self.seed,
            "pictures_by_class": {name: counts[i] for i, name in enumerate(self.data.titles)},
            "without_labels": sum(not classes for classes in shown),
        }


def images(data: Dataset, count: int, seed: int, imgsz: int) -> CalibrationImages:
    """`count` pictures of the training split, or all where there are fewer, so that every class is seen.

    Raises:
        InputError: there is nothing to choose from.
    """
    chosen = CalibrationImages(tuple(_balanced(data, count, seed)), imgsz, data, seed)
    log.info(_sentence(chosen.described()))
    return chosen


def sample(data: Dataset, count: int, seed: int, imgsz: int) -> CalibrationImages:
    """As `images`, but every picture is as likely: for statistics that must be those of the data as they are."""
    files = sorted(_training(data))
    return CalibrationImages(tuple(Random(seed).sample(files, min(count, len(files)))), imgsz, data, seed)


def _sentence(found: dict) -> str:
    counts = found["pictures_by_class"].values()
    return (
        f"calibrating with {found['pictures']} pictures of {found['source']}, seed {found['seed']}: they show "
        f"{sum(count > 0 for count in counts)} of {len(counts)} classes, the rarest in {min(counts)} pictures; "
        f"{found['without_labels']} have no labels"
    )


def _training(data: Dataset) -> tuple[Path, ...]:
    if not data.train:
        raise InputError("the training split has no pictures to calibrate with; give data= a set that has some.")
    return data.train


def _balanced(data: Dataset, count: int, seed: int) -> Iterator[Path]:
    """Again and again a picture of the class that is shown least so far; those without labels fill up."""
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
