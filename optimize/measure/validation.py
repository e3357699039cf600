"""What a validation found, kept so that no validation runs twice."""

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, fields
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryFile

from pydantic import TypeAdapter

from optimize.host.files import move
from optimize.inside import content, is_plain
from optimize.measure.accuracy import Accuracy
from optimize.measure.detections import CONFIDENCE, Box, Detections
from optimize.store.aside import make_way
from optimize.store.held import held, worked

FIGURES, LINE = TypeAdapter(Accuracy), TypeAdapter(Detections)
MOST = 2**24  # bytes of an accuracy


@dataclass(frozen=True)
class Validation:
    """One validation in the store: two files, since the accuracy is read often, and what was found can be large."""

    store: Path
    key: str

    @property
    def accuracy(self) -> Accuracy:
        return FIGURES.validate_json(content(self._accuracy, MOST) or b"")

    def _whole(self) -> bool:
        """Both files are there and can be read; what a disk or a hand damaged is validated again."""
        if not is_plain(self._detections):
            return False
        try:
            found = self.accuracy
            return bool(found.metrics) and found.images == sum(1 for _ in self.detections())
        except ValueError:  # what pydantic raises is one
            return False

    def detections(self) -> Iterator[Detections]:
        """What was found image by image; never all at once in memory."""
        with self._detections.open("rb") as lines:
            yield from map(LINE.validate_json, lines)

    @property
    def _accuracy(self) -> Path:
        return self.store / f"{self.key}.accuracy.json"

    @property
    def _detections(self) -> Path:
        return self.store / f"{self.key}.detections.jsonl"


Validate = Callable[[Callable[[Detections], object]], Accuracy]


def once(store: Path, identity: tuple[str, ...], validate: Validate) -> Validation:
    """The validation that an earlier run made of the same artefact and data, or the one that `validate` makes.

    Args:
        store: folder of finished work.
        identity: everything that the result depends on: artefact, precision, data, machine, versions.
        validate: measures the accuracy, and gives what it finds in each image to its argument.
    """
    # a store of an older version holds other figures
    shape = (*(field.name for kind in (Accuracy, Detections, Box) for field in fields(kind)), str(CONFIDENCE))
    key = sha256("\n".join((*identity, *shape)).encode()).hexdigest()[:16]
    kept = Validation(store, key)
    with held(store, key):
        known = kept._whole()
        if not known:
            _make(kept, validate)
        worked("found" if known else "made", "validation")
    return kept


def _make(kept: Validation, validate: Validate) -> None:
    """Both files appear when the validation has ended.

    Until then there is only a file without a name, which a killed run doesn't leave behind.
    """
    partial = kept._detections.with_suffix(".partial")
    for file in (partial, kept._detections, kept._accuracy):
        make_way(file)
    with TemporaryFile(dir=kept.store) as lines:
        found = validate(lambda detections: lines.write(LINE.dump_json(detections) + b"\n"))
        lines.seek(0)
        with partial.open("wb") as copy:
            shutil.copyfileobj(lines, copy)
    move(partial, kept._detections)
    partial.write_text(json.dumps(asdict(found), indent=2), encoding="utf-8")
    move(partial, kept._accuracy)
