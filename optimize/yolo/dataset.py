"""Find a data set the way ultralytics does, and refuse one that can't be measured on."""

import os
import re
import tarfile
import zipfile
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from hashlib import sha256
from pathlib import Path

from ultralytics.data.utils import IMG_FORMATS, check_cls_dataset, check_det_dataset, img2label_paths
from ultralytics.nn.autobackend import check_class_names

from optimize.data.dataset import Dataset
from optimize.errors import InputError

FIRST = re.compile(rb"^\s*(\S+)", re.MULTILINE)  # the class in each row of a label file


def resolve(data: str, task: str = "detect") -> Dataset:
    """The data set of a data.yaml, or of any name that ultralytics knows (downloaded where there is a network).

    Only ultralytics' own data sets are downloaded: `download` in a yaml can be any code, and isn't run for others.

    Args:
        data: what the user calls it; for `classify` a folder that holds train and val with a folder per class.
        task: as in `Dataset`.

    Raises:
        InputError: it is an archive or an address, the yaml or a folder is missing, a split has no pictures or no
            labels, a class is unknown, or the labels are not those of the task.
    """
    path = Path(data)
    if "://" in data or (path.is_file() and (zipfile.is_zipfile(path) or tarfile.is_tarfile(path))):
        raise InputError(
            f"data={data} is an archive or an address, and nothing is unpacked or fetched from there; unpack it "
            "yourself and give its data.yaml, or for classification its folder."
        )
    return _classified(data) if task == "classify" else _labelled(data, task)


def classes_shown(data: Dataset, pictures: Iterable[Path]) -> list[frozenset[int]]:
    """The classes that each of `pictures`, all of the training split, is labelled with; without labels an empty set."""
    if data.task == "classify":
        root = data.yaml / "train"
        ids = {folder.name: i for i, folder in enumerate(sorted(p for p in root.iterdir() if p.is_dir()))}
        return [frozenset([ids[picture.relative_to(root).parts[0]]]) for picture in pictures]
    return [_classes(label) for label in img2label_paths([str(p) for p in pictures])]


def _classes(label: str) -> frozenset[int]:
    """Without Path and without splitting rows: 2 s of CPU for COCO's 118,000 labels, and not 4."""
    try:
        with open(label, "rb") as file:
            rows = file.read()
    except FileNotFoundError:
        return frozenset()
    return frozenset(int(float(first)) for first in set(FIRST.findall(rows)))


def _labelled(data: str, task: str) -> Dataset:
    found = partial(check_det_dataset, autodownload=not Path(data).exists())
    info = _checked(found, data, "give a data.yaml with train, val and names")
    yaml, names = Path(info["yaml_file"]), tuple(info["names"][i] for i in range(info["nc"]))
    if info["channels"] != 3:
        raise InputError(
            f"data={data} has channels: {info['channels']} in its yaml, but only models that see three channels can be "
            "used; leave the key out (grey and transparent pictures are then read as RGB) and train such a model."
        )
    splits = {split: tuple(sorted(_pictures(data, split, info[split]))) for split in ("train", "val")}
    total, keypoints = sha256(repr(names).encode()), None
    if task == "pose":
        keypoints = _keypoints(data, info)
        total.update(repr((keypoints, info.get("kpt_oks_sigmas"))).encode())
    check = partial(_check_row, data, task, len(names), keypoints)
    for split, pictures in splits.items():
        if not pictures:
            raise InputError(
                f"data={data} has no pictures in its {split} split ({info[split]}); check the path in {yaml}."
            )
        if not _hash_labels(data, pictures, check, total):
            raise InputError(
                f"data={data} has no labels for its {split} split; put a .txt per picture into the folder labels, "
                "beside images."
            )
    return Dataset(yaml, names, splits["train"], splits["val"], total.hexdigest()[:16], task, keypoints)


def _classified(data: str) -> Dataset:
    """The names of the folders are the labels."""
    wanted = "give a folder that holds train and val with a folder per class"
    if Path(data).is_dir() and not (Path(data) / "train").is_dir():  # ultralytics would copy it into a split of its own
        raise InputError(f"data={data} has no folder train; {wanted}.")
    info = _checked(partial(check_cls_dataset, split="val"), data, wanted)
    classes = {folder.name for folder in info["train"].iterdir() if folder.is_dir()}
    # as in the checkpoint: the codes of ImageNet's folders stand for names
    names = tuple(check_class_names(info["names"]).values())
    total, splits = sha256(repr(names).encode()), {}
    for split in ("train", "val"):
        if info[split] is None:
            raise InputError(f"data={data} has no folder {split}; {wanted}.")
        splits[split] = tuple(sorted(_pictures(data, split, str(info[split]))))
        if not splits[split]:
            raise InputError(f"data={data} has no pictures in its {split} split ({info[split]}); {wanted}.")
        for picture in splits[split]:
            label = picture.relative_to(info[split]).parts[0]
            if label not in classes:
                raise InputError(
                    f"{picture} lies in no folder of a class; the classes are the folders in {info['train']}, so move "
                    "or remove it."
                )
            _hash_picture(picture, total)
    return Dataset(info["train"].parent, names, splits["train"], splits["val"], total.hexdigest()[:16], "classify")


def _checked(check: Callable[[str], dict], data: str, wanted: str) -> dict:
    try:
        return check(data)
    except Exception as error:  # ultralytics raises anything from SyntaxError to FileNotFoundError here
        reason = " ".join(str(error).replace("❌", "").split()).split(" Note dataset download")[0]
        raise InputError(f"data={data} can't be used: {reason}; {wanted}.") from error


def _keypoints(data: str, info: dict) -> tuple[int, ...]:
    shape = info.get("kpt_shape") or ()
    if len(shape) != 2 or shape[1] not in (2, 3):
        raise InputError(
            f"data={data} has kpt_shape {info.get('kpt_shape')}; a pose data set needs [keypoints, 2 or 3] in its yaml."
        )
    return tuple(shape)


def _pictures(data: str, split: str, sources: str | list[str]) -> Iterator[Path]:
    """Pictures of a split, given as a folder, a text file of paths, or a list of these."""
    for source in [sources] if isinstance(sources, str) else sources:
        path = Path(source)
        if path.is_dir():
            # as ultralytics does, into folders that are links as well, which Path.rglob leaves out
            found = (Path(folder, name) for folder, _, names in os.walk(path, followlinks=True) for name in names)
        elif path.is_file():
            lines = path.read_text(encoding="utf-8").split("\n")
            found = (path.parent / line.strip() for line in lines if line.strip())
        else:
            raise InputError(f"data={data} names {path} for its {split} split, which does not exist; check the yaml.")
        yield from (p for p in found if p.suffix[1:].lower() in IMG_FORMATS)


def _hash_picture(picture: Path, total) -> None:
    stat = picture.stat()
    total.update(f"{picture.parent.name}/{picture.name} {stat.st_size} {stat.st_mtime_ns}".encode())


def _hash_labels(data: str, pictures: tuple[Path, ...], check: Callable[[str, list[str]], None], total) -> int:
    """Add every picture and its labels to the hash `total`; return the number of labelled objects."""
    objects = 0
    for picture, label in zip(pictures, img2label_paths([str(p) for p in pictures]), strict=True):
        if not picture.is_file():
            raise InputError(
                f"data={data} lists the picture {picture}, which does not exist; check the list of pictures."
            )
        _hash_picture(picture, total)
        if not Path(label).is_file():
            continue
        text = Path(label).read_bytes()
        total.update(text)
        for line in text.decode(errors="replace").splitlines():
            if row := line.split():
                check(label, row)
                objects += 1
    return objects


def _check_row(
    data: str, task: str, classes: int, keypoints: tuple[int, ...] | None, label: str, row: list[str]
) -> None:
    """What ultralytics would leave out with a warning, or take for something else, is refused."""
    try:
        known = 0 <= int(float(row[0])) < classes
    except ValueError:
        known = False
    if not known:
        raise InputError(
            f"{label} has the class {row[0]}, but data={data} has classes 0 to {classes - 1}; mend the label."
        )
    if task in ("segment", "obb") and (len(row) < 7 or len(row) % 2 == 0):
        shape = (
            "a polygon (class x1 y1 x2 y2 x3 y3 ...)" if task == "segment" else "four corners (class x1 y1 ... x4 y4)"
        )
        what = "a plain box" if len(row) == 5 else f"a row of {len(row)} numbers"
        raise InputError(
            f"{label} has {what}, but a model of the task {task} needs {shape}; give data= a set with these."
        )
    if keypoints and len(row) != 5 + keypoints[0] * keypoints[1]:
        raise InputError(
            f"{label} has a row of {len(row)} numbers, but kpt_shape {list(keypoints)} of data={data} needs "
            f"{5 + keypoints[0] * keypoints[1]} (class, box, keypoints); mend the label or kpt_shape."
        )
