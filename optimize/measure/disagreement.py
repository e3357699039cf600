"""Compares the detections of the optimized model with those of the original, on the validation images."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np

from optimize.measure.detections import Box, Detections

OVERLAP = 0.5  # two boxes of at least this IoU count as the same object
WORST = 8  # images that are shown


@dataclass(frozen=True)
class ComparedImage:
    """One validation image.

    Attributes:
        path: path of a small copy, relative to the run's folder.
        name: name of the image in the data set.
        width, height: size of the original image in pixels, the unit of all corners.
        truth, before, after: the labelled objects, and the detections of the original and of the optimized model.
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
        images: number of images compared.
        agreeing: number of images on which both find the same objects.
        worst: the images on which they disagree most, the worst first.
    """

    before: str
    after: str
    confidence: float
    images: int
    agreeing: int
    worst: tuple[ComparedImage, ...]


@dataclass(frozen=True)
class Pair:
    """Detections of two variants in one image."""

    before: Detections
    after: Detections

    @cached_property
    def unmatched(self) -> int:
        """Number of objects that only one of the two finds."""
        return sum(map(sum, find_unmatched(self.before.found, self.after.found)))

    @property
    def disagreement(self) -> float:
        """1 - 2 matches / (objects before + objects after): Dice's distance of the two sets; 0 if both are empty.

        Source: Dice, "Measures of the Amount of Ecologic Association Between Species", Ecology 26(3), 1945.
        """
        return self.unmatched / max(1, len(self.before.found) + len(self.after.found))


def find_unmatched(before: Sequence[Box], after: Sequence[Box]) -> tuple[list[bool], list[bool]]:
    """For each object of both sides, whether it has no match on the other side.

    Two boxes match if they have the same class and an IoU of at least `OVERLAP`. Each box has at most one match; the
    Hungarian method chooses the matches with the largest sum of IoUs, so the order of the two variants doesn't matter.
    Without corners the class alone decides.
    """
    from scipy.optimize import linear_sum_assignment  # takes half a second, and only the end of a run needs it

    unmatched = [True] * len(before), [True] * len(after)
    if before and after:
        overlaps = _overlaps(before, after)
        for i, j in zip(*linear_sum_assignment(overlaps, maximize=True), strict=True):
            unmatched[0][i] = unmatched[1][j] = not overlaps[i, j]
    return unmatched


def compare(
    before: Iterable[Detections], after: Iterable[Detections], name: Callable[[int], str]
) -> tuple[int, int, list[Pair]]:
    """Number of images compared, number of images on which both agree, and the `WORST` images.

    The worst image comes first; ties are broken by the number of unmatched objects, then by name.

    Args:
        before, after: the same images in the same order; they may be streams.
        name: returns the name of the image at a position in the validation split.
    """

    def rank(pair: Pair) -> tuple[float, int, str]:
        return -pair.disagreement, -pair.unmatched, name(pair.before.image)

    images, agreeing = 0, 0
    worst: list[Pair] = []
    for pair in (Pair(left, right) for left, right in zip(before, after, strict=True)):
        images += 1
        agreeing += pair.unmatched == 0
        worst = sorted([*worst, pair], key=rank)[:WORST]
    return images, agreeing, worst


def _overlaps(before: Sequence[Box], after: Sequence[Box]) -> np.ndarray:
    """(before, after): IoU of convex shapes, rotated or not; 0 where it is below `OVERLAP` or the classes differ."""
    labels_before, labels_after = (np.array([box.label for box in side]) for side in (before, after))
    same = labels_before[:, None] == labels_after
    if not before[0].corners:
        return same.astype(float)
    first, second = (np.array([box.corners for box in side], np.float32) for side in (before, after))
    # most pairs are far apart, so their axis-aligned bounding boxes don't intersect
    low, high = np.maximum(first.min(1)[:, None], second.min(1)), np.minimum(first.max(1)[:, None], second.max(1))
    areas = np.add.outer([cv2.contourArea(shape) for shape in first], [cv2.contourArea(shape) for shape in second])
    overlaps = np.zeros(same.shape)
    for i, j in np.argwhere(same & (high > low).all(2) & (areas > 0)):
        common = cv2.intersectConvexConvex(first[i], second[j])[0]
        overlaps[i, j] = common / (areas[i, j] - common)
    return np.where(overlaps >= OVERLAP, overlaps, 0)
