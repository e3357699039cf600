"""What a validation found, kept so that no validation runs twice."""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path


@dataclass(frozen=True)
class Accuracy:
    """Detection accuracy of one variant on one validation split.

    Attributes:
        map50_95: mean average precision over IoU 0.50 to 0.95 in steps of 0.05 and over classes, 0 to 1 (COCO's AP).
        map50: the same at IoU 0.50.
        images: number of pictures validated.
        classes: AP 0.50:0.95 for each class that occurs in the split, by name.
    """

    map50_95: float
    map50: float
    images: int
    classes: dict[str, float]


def once(store: Path, identity: tuple[str, ...], validate: Callable[[], Accuracy]) -> Accuracy:
    """The accuracy that an earlier run found for the same artefact and data, or that of `validate()`.

    Args:
        store: folder of finished work.
        identity: everything that the result depends on: artefact, precision, data.
        validate: measures it.
    """
    key = sha256("\n".join((*identity, version("ultralytics"))).encode()).hexdigest()[:16]
    path = store / f"{key}.accuracy.json"
    if not path.is_file():
        partial = path.with_suffix(".partial")
        partial.write_text(json.dumps(asdict(validate()), indent=2))
        partial.rename(path)
    return Accuracy(**json.loads(path.read_text()))
