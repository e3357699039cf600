"""Where the optimized model sees something else than the original, on the validation pictures."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Box:
    """One object.

    Attributes:
        label: its class.
        score: confidence, 0 to 1; None for a label of the data set.
        corners: (x, y) in pixels of the original picture, in order around the object; none for `classify`.
    """

    label: str
    score: float | None
    corners: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Picture:
    """One validation picture.

    Attributes:
        path: of a small copy, relative to the run's folder.
        name: of the picture in the data set.
        width, height: of the original picture in pixels, the unit of all corners.
        truth, before, after: objects as labelled, as the original and as the optimized model finds them.
        disagreement: 0 (both find the same) to 1.
    """

    path: Path
    name: str
    width: int
    height: int
    truth: tuple[Box, ...]
    before: tuple[Box, ...]
    after: tuple[Box, ...]
    disagreement: float


@dataclass(frozen=True)
class Disagreement:
    """The pictures on which two variants disagree most, the worst first.

    Attributes:
        before, after: the variants, e.g. `original on torch`.
        confidence: detections below it are left out.
        images: pictures compared.
        agreeing: those on which both find the same objects.
        pictures: the worst.
    """

    before: str
    after: str
    confidence: float
    images: int
    agreeing: int
    pictures: tuple[Picture, ...]
