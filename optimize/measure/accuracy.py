"""What a validation found."""

from dataclasses import dataclass


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
