"""What one variant finds in the validation images."""

from dataclasses import dataclass

CONFIDENCE = 0.25  # from which on ultralytics' predict shows a detection


@dataclass(frozen=True)
class Box:
    """One object.

    Attributes:
        label: its class.
        score: confidence, 0 to 1; None for a label of the data set.
        corners: (x, y) in pixels of the original image, in order around the object; none for `classify`.
    """

    label: str
    score: float | None
    corners: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Detections:
    """What is labelled and what is found in one image.

    Attributes:
        image: its position in the validation split, `Dataset.val`.
        truth: the labelled objects; for `classify` the class.
        found: what was found with `CONFIDENCE` or more, after NMS; for `classify` the likeliest class, however sure.
    """

    image: int
    truth: tuple[Box, ...]
    found: tuple[Box, ...]
