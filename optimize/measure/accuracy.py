"""What a validation found, kept so that no validation runs twice."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, fields
from hashlib import sha256
from importlib.metadata import version
from math import sqrt
from pathlib import Path
from statistics import fmean


@dataclass(frozen=True)
class Accuracy:
    """Accuracy of one variant on one validation split.

    Attributes:
        metrics: what the task is judged by, 0 to 1, by name; the main metric comes first. mAP50-95 is the mean average
            precision over IoU 0.50 to 0.95 in steps of 0.05 and over classes (COCO's AP), mAP50 the same at IoU 0.50.
        images: number of pictures validated.
        classes: the main metric for each class that occurs in the split, by name.
        objects: how many objects of each class the split has, by name (for `classify` pictures).
        folds: the main metric once more, each time without one of up to 20 groups of pictures that share them out; the
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
        """Standard error of the score over the choice of pictures; None where there are too few to tell.

        The grouped jackknife: sqrt((G - 1) / G * sum((fold - mean)^2)) over G folds (Kott, "The Delete-a-Group
        Jackknife", Journal of Official Statistics 17(4), 2001).
        """
        return _jackknife(self.folds)

    def error_of_difference(self, other: "Accuracy") -> float | None:
        """Standard error of the difference of the two scores on the same pictures; None where it can't be told."""
        same = len(self.folds) == len(other.folds)
        return _jackknife([a - b for a, b in zip(self.folds, other.folds, strict=True)]) if same else None


def _jackknife(folds: Sequence[float]) -> float | None:
    if len(folds) < 2:
        return None
    return sqrt((len(folds) - 1) / len(folds) * sum((fold - fmean(folds)) ** 2 for fold in folds))


def once(store: Path, identity: tuple[str, ...], validate: Callable[[], Accuracy]) -> Accuracy:
    """The accuracy that an earlier run found for the same artefact and data, or that of `validate()`.

    Args:
        store: folder of finished work.
        identity: everything that the result depends on: artefact, precision, data.
        validate: measures it.
    """
    shape = (field.name for field in fields(Accuracy))  # a store of an older version holds other figures
    key = sha256("\n".join((*identity, version("ultralytics"), *shape)).encode()).hexdigest()[:16]
    path = store / f"{key}.accuracy.json"
    if not path.is_file():
        partial = path.with_suffix(".partial")
        partial.write_text(json.dumps(asdict(validate()), indent=2))
        partial.rename(path)
    return Accuracy(**json.loads(path.read_text()))
