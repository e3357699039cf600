"""What a validation found, kept so that no validation runs twice."""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path


@dataclass(frozen=True)
class Accuracy:
    """Accuracy of one variant on one validation split.

    Attributes:
        metrics: what the task is judged by, 0 to 1, by name; the main metric comes first. mAP50-95 is the mean average
            precision over IoU 0.50 to 0.95 in steps of 0.05 and over classes (COCO's AP), mAP50 the same at IoU 0.50.
        images: number of pictures validated.
        classes: the main metric for each class that occurs in the split, by name.
    """

    metrics: dict[str, float]
    images: int
    classes: dict[str, float]

    @property
    def metric(self) -> str:
        """Name of the main metric."""
        return next(iter(self.metrics))

    @property
    def score(self) -> float:
        """The main metric, 0 to 1."""
        return self.metrics[self.metric]


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
