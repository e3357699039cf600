"""The record of a data set: its yaml, its images, the images left out, and a fingerprint of its content."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from optimize.errors import InputError
from optimize.identity import OUTSIDE

SHOWN = 3  # most frequent reasons that a sentence lists
SPLITS = {"train": "training", "val": "validation", "test": "test"}


def titles(names: Sequence[str]) -> tuple[str, ...]:
    """Unique names of classes; classes that share a name get their number appended, `cat (3)`."""
    counts = Counter(names)
    numbered = [f"{name} ({i})" for i, name in enumerate(names)]
    unique = [name if counts[name] == 1 else numbered[i] for i, name in enumerate(names)]
    return tuple(unique if len(set(unique)) == len(unique) else numbered)  # a class may really be called `cat (3)`


@dataclass(frozen=True)
class LeftOut:
    """Images of one split that ultralytics leaves out, and the objects lost with them.

    Attributes:
        split: `train`, `val` or `test`.
        images: how many are left out.
        listed: how many the split lists, including those left out.
        reasons: ultralytics' reasons with the number of images, the most frequent first.
        examples: paths of up to three of these images.
        objects: for each class that loses any, by its title: objects lost, and objects labelled in the split.
    """

    split: str
    images: int
    listed: int
    reasons: dict[str, int]
    examples: tuple[str, ...]
    objects: dict[str, tuple[int, int]]

    @property
    def sentence(self) -> str:
        reasons = [f"{reason} ({count})" for reason, count in self.reasons.items()]
        if others := sum(list(self.reasons.values())[SHOWN:]):
            reasons[SHOWN:] = [f"other reasons ({others})"]
        return (
            f"ultralytics leaves out {self.images} of {self.listed} {SPLITS[self.split]} images: "
            f"{'; '.join(reasons)}; e.g. {', '.join(self.examples)}."
        )


@dataclass(frozen=True)
class ImageSet:
    """Which images an accuracy is of, for the report.

    Attributes:
        split: `val` or `test`.
        images: how many.
        listed: how many the split has.
        fingerprint: of these images; equal where accuracies are of the same images.
    """

    split: str
    images: int
    listed: int
    fingerprint: str

    @property
    def described(self) -> str:
        """E.g. `200 test images`, or `100 of 300 validation images`."""
        part = "" if self.images == self.listed else f" of {self.listed}"
        return f"{self.images}{part} {SPLITS[self.split]} images"


@dataclass(frozen=True)
class EvaluationImages:
    """Images that accuracy is measured on: a split, or a part of one.

    Attributes:
        split: `val` or `test`.
        files: the images, in the order of the split.
        listed: how many the split has.
        fingerprint: of their content.
    """

    split: str
    files: tuple[Path, ...]
    listed: int
    fingerprint: str

    @property
    def whole(self) -> bool:
        return len(self.files) == self.listed

    @property
    def record(self) -> ImageSet:
        return ImageSet(self.split, len(self.files), self.listed, self.fingerprint)


@dataclass(frozen=True)
class Dataset:
    """A data set in ultralytics' format, as ultralytics reads it.

    Only the fingerprint and the task take part in `repr`, and so in a stage's identity: the same content in another
    folder is the same data set, and changed content is another one. No training depends on the test split.

    Attributes:
        yaml: the data.yaml; where the labels are folders, the one that holds a folder per split.
        names: class names, in the order of their numbers.
        train: images of the training split that ultralytics trains on, in its order.
        val: images of the validation split that ultralytics validates on, in its order.
        fingerprint: 16 hex digits over class names, and of these images names, labels and content.
        test: images of the test split, as `val`; empty where there is none, or where it isn't used.
        test_fingerprint: as `fingerprint`, of the test split.
        unused_test: why a test split that the data set names is not used; empty where it is.
        task: name of the task of the models that read it, one of yolo/tasks/.
        keypoints: how many an object has and the numbers of each (2, or 3 with its visibility); None where the task
            has none.
        single_cls: whether all classes are one, `item`, as ultralytics' `single_cls=True` sees them.
        classes: the classes of each image's labels; an image without labels may be missing.
        left_out: images that ultralytics leaves out, a record for each split that loses any, the training split last.
        elsewhere: folders with images outside the folder of `yaml`.
        separated: the images that choices are made on, and those of the report; None where both are the validation
            split, see data/selection.py.
        shape: height and width in pixels of every image of the report's split; None where they differ or aren't known.
        whole: all images of the report, where `val_images` takes only a part of them for every row; else None.
    """

    yaml: Path = field(repr=False, metadata=OUTSIDE)
    names: tuple[str, ...] = field(repr=False, metadata=OUTSIDE)
    train: tuple[Path, ...] = field(repr=False, metadata=OUTSIDE)
    val: tuple[Path, ...] = field(repr=False, metadata=OUTSIDE)
    fingerprint: str
    task: str = "detect"
    keypoints: tuple[int, ...] | None = field(default=None, repr=False, metadata=OUTSIDE)
    single_cls: bool = field(default=False, repr=False, metadata=OUTSIDE)
    classes: dict[Path, frozenset[int]] = field(default_factory=dict, repr=False, metadata=OUTSIDE, hash=False)
    left_out: tuple[LeftOut, ...] = field(default=(), repr=False, metadata=OUTSIDE, hash=False)
    elsewhere: tuple[str, ...] = field(default=(), repr=False, metadata=OUTSIDE)
    test: tuple[Path, ...] = field(default=(), repr=False, metadata=OUTSIDE)
    test_fingerprint: str = field(default="", repr=False, metadata=OUTSIDE)
    unused_test: str = field(default="", repr=False, metadata=OUTSIDE)
    separated: tuple[EvaluationImages, EvaluationImages] | None = field(default=None, repr=False, metadata=OUTSIDE)
    shape: tuple[int, int] | None = field(default=None, repr=False, metadata=OUTSIDE)
    whole: EvaluationImages | None = field(default=None, repr=False, metadata=OUTSIDE)

    @property
    def validation_images(self) -> EvaluationImages:
        return EvaluationImages("val", self.val, len(self.val), self.fingerprint)

    @property
    def choice_images(self) -> EvaluationImages:
        """Images that choices are made on which decide what a file is: recipes, layers in float, trials of a search."""
        return self.separated[0] if self.separated else self.validation_images

    @property
    def report_images(self) -> EvaluationImages:
        """Images that the report's accuracies, detections and compared images are of."""
        return self.separated[1] if self.separated else self.validation_images

    @property
    def titles(self) -> tuple[str, ...]:
        """`names`, made unique."""
        return titles(self.names)

    @property
    def remarks(self) -> tuple[str, ...]:
        """Warnings: images outside the data set's folder, since a data.yaml may name any; a test split without use."""
        found = []
        if self.elsewhere:
            more = f" and {len(self.elsewhere) - SHOWN} more" if len(self.elsewhere) > SHOWN else ""
            found.append(
                f"{self.yaml.name} refers to images outside its own folder, in {', '.join(self.elsewhere[:SHOWN])}"
                f"{more}: check them before you share the report, which shows some of them."
            )
        if self.unused_test:
            found.append(f"The test split is not used, so validation images are reported: {self.unused_test}")
        return tuple(found)


def check_apart(given: str, folder: Path, data: Dataset) -> None:
    """Check that `folder` is not among the images of a data set; files written there would become a part of it.

    Raises:
        InputError: it is; `given` is how the user named `folder`.
    """
    places = {image.parent.resolve() for image in (*data.train, *data.val, *data.test)}
    if data.yaml.is_dir():  # a new folder beside those of the classes would be a class
        places |= {(data.yaml / split).resolve() for split in SPLITS}
    if not places.isdisjoint((folder.resolve(), *folder.resolve().parents)):
        raise InputError(f"{given} is a folder with images of {data.yaml}; give another folder.")
