"""Labels and detections of the validation images."""

from dataclasses import dataclass

CONFIDENCE = 0.25  # ultralytics' predict shows detections from this confidence on


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
    """Labelled and detected objects of one image.

    Attributes:
        image: its position among the images that are validated, `EvaluationImages.files`.
        truth: the labelled objects; for `classify` the class.
        found: the detections of `CONFIDENCE` or more, after NMS; for `classify` the top class at any confidence.
    """

    image: int
    truth: tuple[Box, ...]
    found: tuple[Box, ...]
