"""What ultralytics' own dataset classes keep of one split of a data set, and what they leave out."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from ultralytics.cfg import get_cfg
from ultralytics.data.dataset import ClassificationDataset, YOLODataset
from ultralytics.data.utils import IMG_FORMATS, img2label_paths, verify_image

from optimize.errors import InputError
from optimize.yolo.bounds import check_labels
from optimize.yolo.read_only import verify_image_label  # the module replaces what writes into a data set
from optimize.yolo.tasks.task import Task

LONGEST = 200  # characters of a reason, which may quote what a file holds
FIGURES = re.compile(r"\[[^\[\]]*\.[^\[\]]*\]$|\(\d+ bytes not processed\)$|^\[Errno \d+\]")  # of one image


@dataclass(frozen=True)
class Rejected:
    """One image that ultralytics leaves out: its file, the reason, and the class of each of its objects."""

    image: str
    reason: str
    objects: list[int]


@dataclass(frozen=True)
class Split:
    """One split as ultralytics reads it.

    Attributes:
        images: what it trains on or validates, in its order.
        objects: for each of these images the class of each labelled object.
        labels: for each of these images a hash of all its labels.
        rejected: what it leaves out.
        shapes: height and width of these images, each once; none where the labels are folders.
    """

    images: tuple[Path, ...]
    objects: list[list[int]]
    labels: list[bytes]
    rejected: list[Rejected]
    shapes: frozenset[tuple[int, int]] = frozenset()


class _Scan(YOLODataset):
    """Keeps what was listed, and names an image whose labels are of another kind."""

    def get_img_files(self, img_path: str | list[str]) -> list[str]:
        self.listed = super().get_img_files(img_path)
        return self.listed

    def verify_labels(self, labels: list[dict], cache_path: Path) -> None:
        try:
            super().verify_labels(labels, cache_path)
        except ValueError as error:
            boxes = next(label["im_file"] for label in labels if len(label["bboxes"]) != len(label["segments"]))
            raise InputError(f"{error} {boxes} has plain boxes.") from error


def read_labelled(info: dict[str, Any], split: str, task: Task, single_cls: bool) -> Split:
    """Read a split whose labels are text files.

    Args:
        info: as `check_det_dataset` gives it.
        split: `train`, `val` or `test`.
        task: of the models that read it.
        single_cls: take all classes for one.

    Raises:
        InputError: the labels are those of another task.
        FileNotFoundError: it lists no image, or what it names is missing.
        RuntimeError: no image of it can be used.
    """
    data = _Scan(img_path=info[split], data=info, task=task.stock, augment=False, hyp=get_cfg(), single_cls=single_cls)
    kept = set(data.im_files)
    left = [image for image in data.listed if image not in kept]
    nkpt, ndim = info.get("kpt_shape") or (0, 0)
    rejected = []
    for image, label in zip(left, img2label_paths(left), strict=True):
        checked = verify_image_label((image, label, "", task.keypoints, info["nc"], nkpt, ndim, single_cls))
        rejected.append(Rejected(image, _reason(checked[-1], image), list(_classes(label, info["nc"], single_cls))))
    return Split(
        images=tuple(Path(image).absolute() for image in data.im_files),
        objects=[label["cls"].astype(int).flatten().tolist() for label in data.labels],
        labels=[_hash(label) for label in data.labels],
        rejected=rejected,
        shapes=frozenset((int(label["shape"][0]), int(label["shape"][1])) for label in data.labels),
    )


def read_classified(info: dict[str, Any], split: str, single_cls: bool) -> Split:
    """Read a split whose folders are its classes; hidden files that are no images are not counted as left out.

    Args:
        info: as `check_cls_dataset` gives it.
        split: `train`, `val` or `test`.
        single_cls: take all classes for one.

    Raises:
        FileNotFoundError: it has no folder of a class.
    """
    root, args = Path(info[split]), get_cfg(overrides={"single_cls": single_cls})
    data = ClassificationDataset(root, args, prefix=split, names=info["names"])
    kept = {sample[0] for sample in data.samples}
    index = {name: i for i, name in info["names"].items()}
    rejected = []
    for image, folder in data.base.samples:
        if image not in kept and not Path(image).name.startswith("."):
            name = data.base.classes[folder]
            message = verify_image(((image, folder), ""))[-1]
            reason = _reason(message, image) if message else f"the folder {name} is no class of the training split"
            rejected.append(Rejected(image, reason, [0 if single_cls else index[name]] if name in index else []))
    rejected += [Rejected(str(image), "it lies in no folder of a class", []) for image in _loose(root)]
    return Split(
        images=tuple(Path(sample[0]).absolute() for sample in data.samples),
        objects=[[sample[1]] for sample in data.samples],
        labels=[str(sample[1]).encode() for sample in data.samples],
        rejected=rejected,
    )


def _loose(root: Path) -> list[Path]:
    files = (path for path in sorted(root.iterdir()) if not path.name.startswith(".") and path.is_file())
    return [path for path in files if path.suffix[1:].lower() in IMG_FORMATS]


def _hash(label: dict[str, Any]) -> bytes:
    total = sha256()
    for array in (label["cls"], label["bboxes"], *label["segments"], label["keypoints"]):
        if array is not None:
            total.update(repr(array.shape).encode() + np.ascontiguousarray(array).tobytes())
    return total.digest()


def _classes(label: str, classes: int, single_cls: bool) -> Iterator[int]:
    """The class of each row of a label file that ultralytics refuses, as far as the row has a known one."""
    try:
        check_labels(label)
        rows = Path(label).read_text(encoding="utf-8-sig", errors="replace").splitlines()
    except (OSError, ValueError):  # it can't be read at all
        return
    for first in (row.split()[0] for row in rows if row.strip()):
        try:
            known = int(float(first))
        except (ValueError, OverflowError):
            continue
        if single_cls or 0 <= known < classes:
            yield 0 if single_cls else known


def _reason(message: str, image: str) -> str:
    """ultralytics' reason, the same for all images that it holds for: without their names and figures."""
    reason = message.split("ignoring corrupt image/label: ")[-1].replace(f": {image!r}", "").replace(f" {image!r}", "")
    if "inhomogeneous shape" in reason:  # numpy's words
        return "the rows of the labels have different numbers of columns"
    reason = printable(" ".join(FIGURES.sub("", reason).split()))
    return reason if len(reason) <= LONGEST else f"{reason[:LONGEST]} ..."


def printable(text: str) -> str:
    """`text` without what a terminal takes for an order: names of files may hold anything."""
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)
