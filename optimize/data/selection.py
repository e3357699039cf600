"""Separates the images that choices are made on from those of the report.

A choice that decides what a file is (a recipe, a layer in float, a trial of a search) fits the images that it is made
on; on these the report would flatter what was chosen.
"""

from collections import Counter
from collections.abc import Sequence
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
    chosen = _stratified(data, min(len(data.val) // PARTS, MOST))
    choice, others = ([file for file in data.val if (file in chosen) == mine] for mine in (True, False))
    return replace(data, separated=(_part(data, choice), _part(data, others)))


def _part(data: Dataset, files: Sequence[Path]) -> EvaluationImages:
    """Images of the validation split, in its order."""
    if len(files) == len(data.val):
        return data.validation_images
    members = set(files)
    positions = [i for i, file in enumerate(data.val) if file in members]
    fingerprint = sha256(f"{data.fingerprint} {positions}".encode()).hexdigest()[:16]
    return EvaluationImages("val", tuple(files), len(data.val), fingerprint)


def _stratified(data: Dataset, count: int) -> set[Path]:
    """`count` validation images, with about that share of the images of each class, and of those without labels.

    Systematic sampling: images are ordered by their classes, the rarest class first, and every n-th is taken. Images of
    the same classes are in a random order.
    """
    files = sorted(data.val, key=lambda file: file.parts[::-1])  # by name: the same wherever the data set lies
    Random(SEED).shuffle(files)
    classes = {file: data.classes.get(file, frozenset()) for file in files}
    images = Counter(i for shown in classes.values() for i in shown)
    files.sort(key=lambda file: sorted((images[i], i) for i in classes[file]))
    steps = ((i * count // len(files), (i + 1) * count // len(files)) for i in range(len(files)))
    return {file for file, (before, after) in zip(files, steps, strict=True) if after > before}
