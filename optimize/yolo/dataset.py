"""Find a data set the way ultralytics does, read it with its own classes, and refuse one that can't be measured on."""

import os
import re
import tarfile
import zipfile
from collections import Counter
from collections.abc import Callable, Iterable
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any
from unittest.mock import patch

from ultralytics.data import utils
from ultralytics.data.utils import check_cls_dataset, check_det_dataset, img2label_paths
from ultralytics.nn.autobackend import check_class_names
from ultralytics.utils import ROOT

from optimize.dataset import Dataset, LeftOut, titles
from optimize.errors import InputError
from optimize.yolo.bounds import check_list, check_tree
from optimize.yolo.image_content import content_hash
from optimize.yolo.progress import stdout_to_stderr
from optimize.yolo.split import Split, printable, read_classified, read_labelled
from optimize.yolo.tasks import BY_NAME
from optimize.yolo.tasks.task import Task

EXAMPLES = 3
ADDRESS = re.compile(r"[a-z][a-z0-9+.-]+:/", re.IGNORECASE)  # ultralytics fetches from those with one slash, too
POINTS = 10_000  # of one object's keypoints


def resolve(data: str, task: str = "detect", single_cls: bool = False, test: bool = False) -> Dataset:
    """The data set of a data.yaml, or of any name that ultralytics knows (downloaded where there is a network).

    Images and labels are those that ultralytics would train on and validate on; what it leaves out is recorded. It
    checks each image and label once, and what it found is kept in the store.

    Only ultralytics' own data sets are downloaded: `download` in a yaml can be any code, and isn't run for others.

    Args:
        data: what the user calls it; where labels are folders, one that holds train and val with a folder per class.
        task: as in `Dataset`.
        single_cls: take all classes for one, as a model does that was trained with `single_cls=True`.
        test: read the test split as well, where the data set names one that isn't a part of the validation split.

    Raises:
        InputError: it is an archive or an address, the yaml or a folder is missing, the labels are those of another
            task, or a split has no image that can be used, or no label.
    """
    path = Path(data)
    if (
        ADDRESS.match(data)
        or "://" in data
        or (path.is_file() and (zipfile.is_zipfile(path) or tarfile.is_tarfile(path)))
    ):
        raise InputError(
            f"data={data} is an archive or an address, and nothing is unpacked or fetched from there; unpack it "
            "yourself and give its data.yaml, or for classification its folder."
        )
    if os.path.exists(path) and not path.is_file() and not path.is_dir():
        raise InputError(f"data={data} is no file and no folder; give a data.yaml, or for classification a folder.")
    read = _classified if BY_NAME[task].folders else _labelled
    return read(data, BY_NAME[task], single_cls, test)


def _labelled(data: str, task: Task, single_cls: bool, test: bool) -> Dataset:
    wanted = "give a data.yaml with train, val and names"
    info = _checked(partial(check_det_dataset, autodownload=not Path(data).exists()), data, wanted)
    yaml = Path(info["yaml_file"])
    if info["channels"] != 3:
        raise InputError(
            f"data={data} has channels: {info['channels']} in its yaml, but only models that see three channels can be "
            "used; leave the key out (grey and transparent images are then read as RGB) and train such a model."
        )
    if "bg_class_idx" in info:
        raise InputError(f"data={data} has bg_class_idx, which ultralytics keeps for itself; take it out of the yaml.")
    keypoints = _keypoints(data, info, task)
    settings: tuple[Any, ...] = ()
    if single_cls:
        info |= {"names": {0: "item"}, "nc": 1}  # as ultralytics' trainer does
    names = _names(data, info["names"], info["nc"])
    if task.keypoints:
        settings = keypoints, info.get("kpt_oks_sigmas"), info.get("flip_idx")

    def read(split: str) -> Split:
        _check_sources(data, split, info[split])
        one = partial(read_labelled, info, split, task, single_cls)
        found = _read(one, data, f"{split} split ({info[split]})", f"check the path in {yaml}")
        if not any(found.objects):
            raise InputError(
                f"data={data} has no labels for its {split} split; put a .txt per image into the folder labels, "
                f"beside images, e.g. {img2label_paths(found.images)[0]}."
            )
        return found

    splits, unused = _splits(read, bool(test and info.get("test")))
    return _dataset(yaml, names, splits, task.name, keypoints, single_cls, settings, unused)


def _splits(read: Callable[[str], Split], test: bool) -> tuple[dict[str, Split], str]:
    """The splits, and why that for tests is not among them although the data set names one.

    Nobody needs it to train or to validate: the lists of ultralytics' own coco.yaml have a test split without labels.
    """
    splits = {split: read(split) for split in ("train", "val")}
    try:
        return splits | ({"test": read("test")} if test else {}), ""
    except InputError as error:
        return splits, str(error)


def _classified(data: str, task: Task, single_cls: bool, test: bool) -> Dataset:
    """The names of the folders are the labels."""
    wanted = "give a folder that holds train and val with a folder per class"
    if Path(data).is_dir() and not (Path(data) / "train").is_dir():  # ultralytics would copy it into a split of its own
        raise InputError(f"data={data} has no folder train; {wanted}.")
    info = _checked(partial(check_cls_dataset, split="val"), data, wanted)
    # as in the checkpoint: the codes of ImageNet's folders stand for names
    names = (
        ("item",)
        if single_cls
        else _names(data, _checked(lambda _: check_class_names(info["names"]), data, wanted), info["nc"])
    )

    def read(split: str) -> Split:
        if info[split] is None:
            raise InputError(f"data={data} has no folder {split}; {wanted}.")
        _check_source(data, split, info[split])
        return _read(partial(read_classified, info, split, single_cls), data, f"{split} split ({info[split]})", wanted)

    splits, unused = _splits(read, bool(test and info["test"] != info["val"] and info["test"]))
    return _dataset(info["train"].parent, names, splits, task.name, None, single_cls, (), unused)


def _checked(check: Callable[[str], dict], data: str, wanted: str) -> dict:
    try:
        with stdout_to_stderr(), patch.object(utils, "check_font", lambda font: None):  # for plots, which we don't draw
            return check(data)
    except Exception as error:  # ultralytics raises anything from SyntaxError to FileNotFoundError here
        reason = " ".join(str(error).replace("❌", "").split()).split(" Note dataset download")[0]
        raise InputError(f"data={data} can't be used: {reason}; {wanted}.") from error


def _names(data: str, names: object, count: int) -> tuple[str, ...]:
    """Names of classes, from 0 on without a gap."""
    if not isinstance(names, dict) or set(names) != set(range(count)):
        raise InputError(f"data={data} has names that are not numbered from 0 on without a gap; give each class one.")
    return tuple(names[i] for i in range(count))


def _keypoints(data: str, info: dict, task: Task) -> tuple[int, ...] | None:
    """How many an object has and the numbers of each; ultralytics reads it for tasks without keypoints as well."""
    shape: Any = info.get("kpt_shape")
    if "kpt_shape" not in info and not task.keypoints:
        return None
    fits = isinstance(shape, list) and len(shape) == 2 and all(type(number) is int for number in shape)
    if not fits or not 0 < shape[0] <= POINTS or shape[1] not in (2, 3):
        raise InputError(f"data={data} has kpt_shape {shape}; a pose data set needs [keypoints, 2 or 3] in its yaml.")
    return tuple(shape) if task.keypoints else None


def _check_sources(data: str, split: str, sources: str | list[str] | None) -> None:
    if not sources:
        raise InputError(f"data={data} names no images for its {split} split; check the yaml.")
    for path in [sources] if isinstance(sources, str) else sources:
        if not os.path.exists(path):
            raise InputError(f"data={data} names {path} for its {split} split, which does not exist; check the yaml.")
        _check_source(data, split, Path(path))


def _check_source(data: str, split: str, source: Path) -> None:
    """It must be one that ends."""
    try:
        if source.is_dir():
            check_tree(source)
        elif source.is_file():
            check_list(source)
        else:
            raise ValueError(f"{source} is no folder and no file")
    except ValueError as error:
        raise InputError(f"data={data} can't be used: in its {split} split: {error}; fix it.") from error


def _read(read: Callable[[], Split], data: str, where: str, remedy: str) -> Split:
    """The split, which has at least one image."""
    try:
        found = read()
    except InputError as error:
        raise InputError(f"data={data} can't be used: in its {where}: {error} Fix it, or give other data.") from error
    except (FileNotFoundError, RuntimeError, ValueError) as error:
        cause = error.__cause__ or error
        if isinstance(cause, AssertionError):
            raise InputError(f"data={data} has no images in its {where}; {remedy}.") from error
        raise InputError(
            f"data={data} can't be used: in its {where}: {_why(cause)}; fix it, or give other data."
        ) from error
    if not found.images:
        reasons = f" that can be used: {'; '.join(_reasons(found))}" if found.rejected else ""
        raise InputError(f"data={data} has no images in its {where}{reasons}; {remedy}.")
    return found


def _why(error: BaseException) -> str:
    """ultralytics' own words, without its links, and with one of the images that it leaves out instead of all."""
    first, *issues = (line.strip() for line in str(error).split("\nSee ")[0].split("\n"))
    hint = f" (without ./ it is looked for in the working directory, {Path.cwd()})" if "[Errno 2]" in str(error) else ""
    return f"no image can be used, e.g. {issues[0]}{hint}" if issues else first.rstrip(".")


def _dataset(
    yaml: Path,
    names: tuple[str, ...],
    splits: dict[str, Split],
    task: str,
    keypoints: tuple[int, ...] | None,
    single_cls: bool,
    settings: tuple[Any, ...],
    unused_test: str,
) -> Dataset:
    """The record of what was read; `settings` decide over training or accuracy, and so take part in the fingerprint."""
    settings = names, single_cls, settings
    train, val = splits["train"], splits["val"]
    test = splits["test"].images if "test" in splits else ()
    if set(test) <= set(val.images):  # ultralytics' VOC.yaml names the same images for both
        test = ()
    used = {name: splits[name] for name in ("test", "val", "train") if name != "test" or test}
    root = (yaml if yaml.is_dir() else yaml.parent).resolve()
    left_out = [_left_out(name, split, names, root) for name, split in used.items() if split.rejected]
    return Dataset(
        yaml=yaml,
        names=names,
        train=train.images,
        val=val.images,
        fingerprint=_fingerprint(settings, (train, val)),
        task=task,
        keypoints=keypoints,
        single_cls=single_cls,
        classes={
            image: frozenset(objects)
            for split in used.values()
            for image, objects in zip(split.images, split.objects, strict=True)
        },
        left_out=tuple(left_out),
        elsewhere=_elsewhere(root, (*train.images, *val.images, *test)),
        test=test,
        unused_test=unused_test,
        shape=_only(splits["test"].shapes if test else val.shapes),
        test_fingerprint=_fingerprint(settings, (splits["test"],)) if test else "",
    )


def _only(shapes: frozenset[tuple[int, int]]) -> tuple[int, int] | None:
    return next(iter(shapes)) if len(shapes) == 1 else None


def _fingerprint(settings: tuple[Any, ...], splits: Iterable[Split]) -> str:
    total = sha256(repr(settings).encode())
    for split in splits:
        total.update(str(len(split.images)).encode())
        for image, label in zip(split.images, split.labels, strict=True):
            total.update(f"{image.parent.name}/{image.name}".encode() + label)
        total.update(content_hash(split.images).encode())
    return total.hexdigest()[:16]


def _elsewhere(root: Path, images: tuple[Path, ...]) -> tuple[str, ...]:
    """The folders outside of that of the yaml in which images really lie; ultralytics' own yamls name no others."""
    if root.is_relative_to(ROOT):
        return ()
    folders = {image.parent for image in images if not image.is_symlink()}
    folders = {folder.resolve() for folder in folders} | {i.resolve().parent for i in images if i.is_symlink()}
    return tuple(sorted(printable(str(folder)) for folder in folders if not folder.is_relative_to(root)))


def _reasons(split: Split) -> dict[str, int]:
    return dict(Counter(rejected.reason for rejected in split.rejected).most_common())


def _left_out(name: str, split: Split, names: tuple[str, ...], root: Path) -> LeftOut:
    kept = Counter(i for objects in split.objects for i in objects)
    lost = Counter(i for rejected in split.rejected for i in rejected.objects)
    examples = (Path(rejected.image).absolute() for rejected in split.rejected[:EXAMPLES])
    return LeftOut(
        split=name,
        images=len(split.rejected),
        listed=len(split.images) + len(split.rejected),
        reasons=_reasons(split),
        examples=tuple(printable(str(p.relative_to(root) if p.is_relative_to(root) else p)) for p in examples),
        objects={titles(names)[i]: (lost[i], lost[i] + kept[i]) for i in sorted(lost)},
    )
