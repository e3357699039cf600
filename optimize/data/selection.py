"""Separates the images that choices are made on from those of the report.

A choice that decides what a file is (a recipe, a layer in float, a trial of a search) fits the images that it is made
on; on these the report would flatter what was chosen.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from random import Random

from optimize.dataset import Dataset, EvaluationImages

LEAST = 150  # validation images; with fewer a third says too little, and so do the other two
PARTS = 3  # one for choices, the others for the report
MOST = 500  # images for choices
SEED = 0  # not the run's, so that accuracies of runs with different seeds are of the same images


def separate(data: Dataset) -> Dataset:
    """`data` whose choices are made on images that the report isn't of, where it has enough of them.

    With a test split, choices are made on the validation split and the test split is reported. Where the test split has
    so many of the validation images that fewer than 50 are left, both are the validation split. Without a test split,
    choices are made on a third of the validation images, at most 500, and all others are reported. With fewer than 150
    validation images both are all of them.
    """
    if data.test:
        tested = set(data.test)
        choice = [file for file in data.val if file not in tested]
        if len(choice) < min(len(data.val), LEAST // PARTS):  # too few are not tested
            return data
        report = EvaluationImages("test", data.test, len(data.test), data.test_fingerprint)
        return replace(data, separated=(_part(data, choice), report))
    if len(data.val) < LEAST:
        return data
    chosen = _stratified(data.val, data.classes, min(len(data.val) // PARTS, MOST))
    choice, others = ([file for file in data.val if (file in chosen) == mine] for mine in (True, False))
    return replace(data, separated=(_part(data, choice), _part(data, others)))


def limited(data: Dataset, most: int) -> Dataset:
    """`data` with at most so many images for choices, and as many for the report, the same for every row."""
    choice, report = (_few(data, images, most) for images in (data.choice_images, data.report_images))
    if (choice, report) == (data.choice_images, data.report_images):
        return data
    whole = None if report == data.report_images else data.report_images
    return replace(data, separated=(choice, report), whole=whole)


def _few(data: Dataset, images: EvaluationImages, most: int) -> EvaluationImages:
    if len(images.files) <= most:
        return images
    members = _stratified(images.files, data.classes, most)
    return _picked(images, [file for file in images.files if file in members])


def _part(data: Dataset, files: Sequence[Path]) -> EvaluationImages:
    """Images of the validation split, in its order."""
    return _picked(data.validation_images, files)


def _picked(images: EvaluationImages, files: Sequence[Path]) -> EvaluationImages:
    """Some of `images`, in their order."""
    if len(files) == len(images.files):
        return images
    members = set(files)
    positions = [i for i, file in enumerate(images.files) if file in members]
    fingerprint = sha256(f"{images.fingerprint} {positions}".encode()).hexdigest()[:16]
    return replace(images, files=tuple(files), fingerprint=fingerprint)


def _stratified(files: Sequence[Path], classes: Mapping[Path, frozenset[int]], count: int) -> set[Path]:
    """`count` of the images, with about that share of those of each class, and of those without labels.

    Systematic sampling: images are ordered by their classes, the rarest class first, and every n-th is taken. Images of
    the same classes are in a random order.
    """
    ordered = sorted(files, key=lambda file: file.parts[::-1])  # by name: the same wherever the data set lies
    Random(SEED).shuffle(ordered)
    shown = {file: classes.get(file, frozenset[int]()) for file in ordered}
    images = Counter(i for those in shown.values() for i in those)
    ordered.sort(key=lambda file: sorted((images[i], i) for i in shown[file]))
    steps = ((i * count // len(ordered), (i + 1) * count // len(ordered)) for i in range(len(ordered)))
    return {file for file, (before, after) in zip(ordered, steps, strict=True) if after > before}
