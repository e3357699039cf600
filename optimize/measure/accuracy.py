"""Accuracy of a variant on the validation images, with its standard error."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import sqrt
from statistics import fmean
from typing import TypeVar

Item = TypeVar("Item")
Score = TypeVar("Score")

GROUPS = 20  # more groups hardly improve the estimate, and each costs one more computation of the metric
ENOUGH = 30  # objects; a class with fewer is not judged alone, since chance moves it by many points


@dataclass(frozen=True)
class Accuracy:
    """Accuracy of one variant on one validation split.

    Attributes:
        metrics: the task's metrics, 0 to 1, by name; the main metric comes first. mAP50-95 is the mean average
            precision over IoU 0.50 to 0.95 in steps of 0.05 and over classes (COCO's AP), mAP50 the same at IoU 0.50.
        images: number of images validated.
        classes: the main metric for each class that occurs in the split, by name.
        objects: how many objects of each class of the data set were validated, by name (for `classify` images); 0
            where a class does not occur.
        folds: the main metric without one group of images, for each of up to 20 groups; every image is in one group,
            and the groups are the same for every variant, so that variants can be compared fold by fold.
        class_folds: the same for each class with at least 30 objects, by name; a class that a fold lacks has none.
        implementation: the library that computed the metrics, with its version; empty in reports of versions up to 0.3.
    """

    metrics: dict[str, float]
    images: int
    classes: dict[str, float]
    objects: dict[str, int] = field(default_factory=dict)
    folds: tuple[float, ...] = ()
    class_folds: dict[str, tuple[float, ...]] = field(default_factory=dict)
    implementation: str = ""

    @property
    def metric(self) -> str:
        """Name of the main metric."""
        return next(iter(self.metrics))

    @property
    def score(self) -> float:
        """The main metric, 0 to 1."""
        return self.metrics[self.metric]

    @property
    def error(self) -> float | None:
        """Standard error of the score over the choice of images; None where there are too few images.

        The grouped jackknife: sqrt((G - 1) / G * sum((fold - mean)^2)) over G folds (Kott, "The Delete-a-Group
        Jackknife", Journal of Official Statistics 17(4), 2001).
        """
        return _jackknife(self.folds)

    def error_of_difference(self, other: "Accuracy") -> float | None:
        """Standard error of the difference of two scores on the same images; None where the folds don't match."""
        return _error_of_difference(self.folds, other.folds)

    def error_of_class_difference(self, other: "Accuracy", name: str) -> float | None:
        """The same for one class."""
        return _error_of_difference(self.class_folds.get(name, ()), other.class_folds.get(name, ()))


def _error_of_difference(folds: Sequence[float], others: Sequence[float]) -> float | None:
    if len(folds) != len(others):
        return None
    return _jackknife([a - b for a, b in zip(folds, others, strict=True)])


def _jackknife(folds: Sequence[float]) -> float | None:
    if len(folds) < 2:
        return None
    return sqrt((len(folds) - 1) / len(folds) * sum((fold - fmean(folds)) ** 2 for fold in folds))


def leave_groups_out(images: Sequence[Item], score: Callable[[list[Item]], Score | None]) -> tuple[Score, ...]:
    """`score` of all images but those of one group, for each group.

    Image i belongs to group i modulo 20; with fewer images each is a group. There are no folds for fewer than two
    images, nor where the images without one of the groups have no score (None).
    """
    groups = min(GROUPS, len(images))
    if groups < 2:
        return ()
    scores = [score([item for i, item in enumerate(images) if i % groups != group]) for group in range(groups)]
    folds = [fold for fold in scores if fold is not None]
    return tuple(folds) if len(folds) == groups else ()
