"""What a label cache of ours is: JSON of plain values, whose arrays are read only in the types and shapes of labels.

A store may be shared, so what lies in it is checked for use: images are those that were asked for, in their order, and
classes, boxes, polygons and keypoints fit one another. Whatever doesn't fit is a ValueError.
"""

import json
from base64 import b64encode
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from pydantic import Base64Bytes, BaseModel, ConfigDict, NonNegativeInt, PositiveInt

NUMBER = np.dtype("<f4")  # of all that ultralytics keeps in arrays
OTHER = "the cache is of other labels than were asked for"


@dataclass(frozen=True)
class Asked:
    """What a cache must fit.

    Attributes:
        images: those that were listed, in order.
        classes: how many there are; None where all are taken for one, so that their numbers don't matter.
        keypoints: for `pose`, how many an object has.
    """

    images: Sequence[str]
    classes: int | None
    keypoints: int | None


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class _Array(_Strict):
    """float32, in the order of C."""

    shape: list[NonNegativeInt]
    data: Base64Bytes

    @property
    def value(self) -> np.ndarray:
        """A copy, which may be written to."""
        return np.frombuffer(self.data, NUMBER).reshape(self.shape).astype(np.float32)


class _Label(_Strict):
    im_file: str
    shape: tuple[PositiveInt, PositiveInt]
    cls: _Array
    bboxes: _Array
    segments: list[_Array]
    keypoints: _Array | None
    normalized: Literal[True]
    bbox_format: Literal["xywh"]


class _Labelled(_Strict):
    labels: list[_Label]
    hash: str
    results: tuple[int, int, int, int, int]
    msgs: list[str]
    version: str


class _Classified(_Strict):
    hash: str
    results: tuple[int, int, int, list[tuple[str, int]]]
    msgs: list[str]
    version: str


def text(cache: dict[str, Any]) -> str:
    """A cache as ultralytics makes it.

    Raises:
        TypeError: it holds anything but plain values and arrays of float32.
    """
    return json.dumps(cache, default=_array)


def _array(value: object) -> dict[str, Any]:
    if not isinstance(value, np.ndarray) or value.dtype != np.float32:
        raise TypeError(f"{getattr(value, 'dtype', type(value).__name__)} is not allowed in a label cache")
    content = np.ascontiguousarray(value, NUMBER).tobytes()
    return {"shape": list(value.shape), "data": b64encode(content).decode()}


def labelled(asked: Asked, content: bytes) -> dict[str, Any]:
    """The cache of a split whose labels are text files, from what `text` gave.

    Raises:
        ValueError: it is none, or doesn't fit what is asked for.
    """
    kept = _Labelled.model_validate_json(content)
    labels = [_arrays(label) for label in kept.labels]
    _check(_in_order((label["im_file"] for label in labels), asked.images))
    for label in labels:
        _check_label(label, asked)
    return kept.model_dump(exclude={"labels"}) | {"labels": labels}


def classified(samples: Sequence[tuple[str, int]], content: bytes) -> dict[str, Any]:
    """The cache of a split whose folders are its classes; of the images and classes `samples`.

    Raises:
        ValueError: as `labelled`.
    """
    kept = _Classified.model_validate_json(content)
    _check(_in_order(kept.results[-1], samples))
    return kept.model_dump()


def _arrays(label: _Label) -> dict[str, Any]:
    """As ultralytics has it."""
    return {
        "im_file": label.im_file,
        "shape": label.shape,
        "cls": label.cls.value,
        "bboxes": label.bboxes.value,
        "segments": [segment.value for segment in label.segments],
        "keypoints": label.keypoints.value if label.keypoints else None,
        "normalized": label.normalized,
        "bbox_format": label.bbox_format,
    }


def _check_label(label: dict[str, Any], asked: Asked) -> None:
    classes, segments, objects = label["cls"], label["segments"], len(label["cls"])
    _check(classes.shape == (objects, 1) and label["bboxes"].shape == (objects, 4))
    if asked.classes is not None:
        _check(bool(((classes >= 0) & (classes < asked.classes) & (classes % 1 == 0)).all()))
    _check(len(segments) in (0, objects) and all(s.ndim == 2 and s.shape[1] == 2 and len(s) for s in segments))
    keypoints = None if asked.keypoints is None else (objects, asked.keypoints, 3)
    _check((None if label["keypoints"] is None else label["keypoints"].shape) == keypoints)


def _in_order(kept: Iterable[object], images: Iterable[object]) -> bool:
    """Whether all that was kept is among the images, in their order."""
    rest = iter(images)
    return all(image in rest for image in kept)


def _check(fits: bool) -> None:
    if not fits:
        raise ValueError(OTHER)
