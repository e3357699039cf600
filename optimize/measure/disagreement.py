"""Where the optimized model sees something else than the original, on the validation images."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np

from optimize.measure.detections import Box, Detections

OVERLAP = 0.5  # IoU from which on two boxes are taken for the same object
WORST = 8  # images that are shown


@dataclass(frozen=True)
class ComparedImage:
    """One validation image.

    Attributes:
        path: of a small copy, relative to the run's folder.
        name: of the image in the data set.
        width, height: of the original image in pixels, the unit of all corners.
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
    """The images on which two variants disagree most, the worst first.

    Attributes:
        before, after: the variants, e.g. `original on torch`.
        confidence: detections below it are left out.
        images: images compared.
        agreeing: those on which both find the same objects.
        worst: those on which they disagree most, the worst first.
    """

    before: str
    after: str
    confidence: float
    images: int
    agreeing: int
    worst: tuple[ComparedImage, ...]


@dataclass(frozen=True)
class Pair:
    """What two variants find in one image."""

    before: Detections
    after: Detections

    @cached_property
    def unmatched(self) -> int:
        """How many of the objects that either finds the other doesn't find."""
        return sum(map(sum, alone(self.before.found, self.after.found)))

    @property
    def disagreement(self) -> float:
        """1 - 2 matches / (objects before + objects after): Dice's distance of the two sets; 0 if both are empty.

        Source: Dice, "Measures of the Amount of Ecologic Association Between Species", Ecology 26(3), 1945.
        """
        return self.unmatched / max(1, len(self.before.found) + len(self.after.found))


def alone(before: Sequence[Box], after: Sequence[Box]) -> tuple[list[bool], list[bool]]:
    """For each object of both sides whether the other side does not find it.

    Two boxes are one object if they have the same class and an IoU of at least `OVERLAP`. Each box has at most one
    partner; the partners are those with the largest sum of IoUs (the Hungarian method), so that it doesn't matter
    which variant comes first. Without corners the class alone decides.
    """
    from scipy.optimize import linear_sum_assignment  # takes half a second, and only the end of a run needs it

    lonely = [True] * len(before), [True] * len(after)
    if before and after:
        overlaps = _overlaps(before, after)
        for i, j in zip(*linear_sum_assignment(overlaps, maximize=True), strict=True):
            lonely[0][i] = lonely[1][j] = not overlaps[i, j]
    return lonely


def compare(
    before: Iterable[Detections], after: Iterable[Detections], name: Callable[[int], str]
) -> tuple[int, int, list[Pair]]:
    """Images compared, images on which both agree, and the `WORST` images.

    The worst comes first; of equal disagreement the one with more objects unmatched, then by name.

    Args:
        before, after: the same images in the same order; they may be streams.
        name: of the image at a position in the validation split.
    """

    def rank(pair: Pair) -> tuple[float, int, str]:
        return -pair.disagreement, -pair.unmatched, name(pair.before.image)

    images, agreeing = 0, 0
    worst: list[Pair] = []
    for pair in (Pair(one, other) for one, other in zip(before, after, strict=True)):
        images += 1
        agreeing += pair.unmatched == 0
        worst = sorted([*worst, pair], key=rank)[:WORST]
    return images, agreeing, worst


def _overlaps(before: Sequence[Box], after: Sequence[Box]) -> np.ndarray:
    """(before, after): IoU of convex shapes, rotated or not; 0 where it is below `OVERLAP` or the class another."""
    one, other = (np.array([box.label for box in side]) for side in (before, after))
    same = one[:, None] == other
    if not before[0].corners:
        return same.astype(float)
    one, other = (np.array([box.corners for box in side], np.float32) for side in (before, after))
    # most pairs are far apart: the boxes around them, upright, don't even touch
    low, high = np.maximum(one.min(1)[:, None], other.min(1)), np.minimum(one.max(1)[:, None], other.max(1))
    areas = np.add.outer([cv2.contourArea(shape) for shape in one], [cv2.contourArea(shape) for shape in other])
    overlaps = np.zeros(same.shape)
    for i, j in np.argwhere(same & (high > low).all(2) & (areas > 0)):
        common = cv2.intersectConvexConvex(one[i], other[j])[0]
        overlaps[i, j] = common / (areas[i, j] - common)
    return np.where(overlaps >= OVERLAP, overlaps, 0)
