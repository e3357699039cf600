"""How well a variant does its task on the validation images, and how sure that is."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import sqrt
from statistics import fmean
from typing import TypeVar

Seen = TypeVar("Seen")

GROUPS = 20  # more tell little more, and each costs one more computation of the metric


@dataclass(frozen=True)
class Accuracy:
    """Accuracy of one variant on one validation split.

    Attributes:
        metrics: what the task is judged by, 0 to 1, by name; the main metric comes first. mAP50-95 is the mean average
            precision over IoU 0.50 to 0.95 in steps of 0.05 and over classes (COCO's AP), mAP50 the same at IoU 0.50.
        images: number of images validated.
        classes: the main metric for each class that occurs in the split, by name.
        objects: how many objects of each class of the data set were validated, by name (for `classify` images); 0
            where a class does not occur.
        folds: the main metric once more, each time without one of up to 20 groups of images that share them out; the
            groups are the same for every variant, so that variants can be compared fold by fold.
    """

    metrics: dict[str, float]
    images: int
    classes: dict[str, float]
    objects: dict[str, int] = field(default_factory=dict)
    folds: tuple[float, ...] = ()

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
        """Standard error of the score over the choice of images; None where there are too few to tell.

        The grouped jackknife: sqrt((G - 1) / G * sum((fold - mean)^2)) over G folds (Kott, "The Delete-a-Group
        Jackknife", Journal of Official Statistics 17(4), 2001).
        """
        return _jackknife(self.folds)

    def error_of_difference(self, other: "Accuracy") -> float | None:
        """Standard error of the difference of the two scores on the same images; None where it can't be told."""
        same = len(self.folds) == len(other.folds)
        return _jackknife([a - b for a, b in zip(self.folds, other.folds, strict=True)]) if same else None


def _jackknife(folds: Sequence[float]) -> float | None:
    if len(folds) < 2:
        return None
    return sqrt((len(folds) - 1) / len(folds) * sum((fold - fmean(folds)) ** 2 for fold in folds))


def leave_groups_out(images: Sequence[Seen], score: Callable[[list[Seen]], float | None]) -> tuple[float, ...]:
    """`score` of all images but those of one group, for each group: the folds of `Accuracy`.

    Image i belongs to group i modulo 20; fewer images are a group each. There are no folds of less than two
    images, nor where what is left without one of the groups has no score (None).
    """
    groups = min(GROUPS, len(images))
    if groups < 2:
        return ()
    scores = [score([seen for i, seen in enumerate(images) if i % groups != group]) for group in range(groups)]
    known = [one for one in scores if one is not None]
    return tuple(known) if len(known) == groups else ()
