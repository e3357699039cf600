"""Keeps the result of each validation in the store, so that none runs twice."""

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, fields
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryFile
from time import perf_counter

from pydantic import TypeAdapter

from optimize.host.files import move
from optimize.inside import content, is_plain
from optimize.measure.accuracy import Accuracy
from optimize.measure.detections import CONFIDENCE, Box, Detections
from optimize.store.aside import make_way
from optimize.store.held import held, record_found, record_made

FIGURES, LINE = TypeAdapter(Accuracy), TypeAdapter(Detections)
MOST = 2**24  # bytes of an accuracy


@dataclass(frozen=True)
class Validation:
    """One validation in the store, in two files: the accuracy, which is read often, and the detections, often large."""

    store: Path
    key: str

    @property
    def accuracy(self) -> Accuracy:
        return FIGURES.validate_json(content(self._accuracy, MOST) or b"")

    def _is_complete(self) -> bool:
        """Whether both files exist and are valid; if not, the validation runs again."""
        if not is_plain(self._detections):
            return False
        try:
            accuracy = self.accuracy
            return bool(accuracy.metrics) and accuracy.images == sum(1 for _ in self.detections())
        except ValueError:  # pydantic's ValidationError is one
            return False

    def detections(self) -> Iterator[Detections]:
        """The detections, streamed image by image, so that memory never holds all of them."""
        with self._detections.open("rb") as lines:
            yield from map(LINE.validate_json, lines)

    @property
    def _accuracy(self) -> Path:
        return self.store / f"{self.key}.accuracy.json"

    @property
    def _detections(self) -> Path:
        return self.store / f"{self.key}.detections.jsonl"


Validate = Callable[[Callable[[Detections], object]], Accuracy]


def validate_once(store: Path, identity: tuple[str, ...], validate: Validate, work: str = "validation") -> Validation:
    """Return the stored validation of the same artefact and data, or run `validate` and store its result.

    Args:
        store: folder of finished work.
        identity: everything that the result depends on: artefact, precision, data, machine, versions.
        validate: measures the accuracy, and calls its argument with the detections of each image.
        work: what it is recorded as, see `held.record_made`.
    """
    validation = _of(store, identity)
    with held(store, validation.key):
        complete = validation._is_complete()
        if not complete:
            began = perf_counter()
            _make(validation, validate)
            size = sum(file.stat().st_size for file in (validation._accuracy, validation._detections))
            record_made(work, perf_counter() - began, size)
        else:
            record_found(work)
    return validation


def is_validated(store: Path, identity: tuple[str, ...]) -> bool:
    """Whether `validate_once` would find it."""
    return _of(store, identity)._is_complete()


def _of(store: Path, identity: tuple[str, ...]) -> Validation:
    # the fields are part of the key, since a store of an older version holds other figures
    shape = (*(field.name for kind in (Accuracy, Detections, Box) for field in fields(kind)), str(CONFIDENCE))
    return Validation(store, sha256("\n".join((*identity, *shape)).encode()).hexdigest()[:16])


def _make(validation: Validation, validate: Validate) -> None:
    """Run `validate` and write both files after it has ended.

    Until then the detections go to an anonymous temporary file, which a killed run doesn't leave behind.
    """
    partial = validation._detections.with_suffix(".partial")
    for file in (partial, validation._detections, validation._accuracy):
        make_way(file)
    with TemporaryFile(dir=validation.store) as lines:
        accuracy = validate(lambda detections: lines.write(LINE.dump_json(detections) + b"\n"))
        lines.seek(0)
        with partial.open("wb") as copy:
            shutil.copyfileobj(lines, copy)
    move(partial, validation._detections)
    partial.write_text(json.dumps(asdict(accuracy), indent=2), encoding="utf-8")
    move(partial, validation._accuracy)
