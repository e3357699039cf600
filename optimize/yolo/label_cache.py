"""Keep ultralytics' label caches in the store, and read none that comes with a data set.

ultralytics keeps what it found in the labels as `labels/train.cache`, beside the user's labels, and loads the one that
lies there: a pickle, which can run any code. Importing this module redirects both, here and in every process that
imports it. What ours hold says `kept_labels.py`; one that holds anything else, or more than was asked for, isn't read,
and is made anew.
"""

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from functools import cache, partial
from hashlib import file_digest, sha256
from importlib import metadata
from pathlib import Path

from ultralytics.data import dataset

from optimize.store.held import held
from optimize.yolo import cache_folder
from optimize.yolo.bounds import LABELS
from optimize.yolo.kept_labels import Asked, classified, labelled, text

log = logging.getLogger(__name__)

SUFFIX = ".labels"
READERS = ("pillow", "pi-heif", "opencv-python", "opencv-python-headless", "yolo-optimize")
# Far more than the labels of an image take, and little enough for what a stranger puts there to be read.
MOST, MOST_BY_IMAGE = 2**20, 2**16  # bytes of a cache, and for each of its images

_read: ContextVar[Callable[[bytes], dict]] = ContextVar("read")  # a cache of what is asked for at the moment
_most: ContextVar[int] = ContextVar("most")


def load(path: Path) -> dict:
    """What `save` kept for `path`, of the images that are asked for.

    Raises:
        FileNotFoundError: there is nothing, or no file.
        ValueError: it holds anything else, e.g. a pickle, which older versions of ours wrote; ultralytics then looks
            at the images and labels again, and saves what it finds.
    """
    folder, name = _place(path)
    with held(folder, name):
        file = folder / f"{name}{SUFFIX}"
        if not file.is_file():
            log.info("checking every image and label of %s, once", path.parent)
            raise FileNotFoundError(file)
        with file.open("rb") as content:
            start = content.read(_most.get() + 1)
    if len(start) > _most.get():
        raise ValueError(f"{file} holds more than the labels of these images")
    return _read.get()(start)


def save(prefix: str, path: Path, x: dict, version: str) -> None:
    """Keep the dictionary `x` that ultralytics would write to `path`, with its `version` in it."""
    x["version"] = version
    folder, name = _place(path)
    with held(folder, name):
        cache_folder.write(folder / f"{name}{SUFFIX}", text(x).encode())


@contextmanager
def _asking(read: Callable[[bytes], dict], images: int) -> Iterator[None]:
    tokens = _read.set(read), _most.set(MOST + MOST_BY_IMAGE * images)
    try:
        yield
    finally:
        _read.reset(tokens[0])
        _most.reset(tokens[1])


def content_hash(paths: list[str]) -> str:
    """In place of ultralytics' `get_hash`: what label files hold, not their dates, which an archive may make equal.

    What decides whether an image can be read takes part, so that one that was left out is looked at again.
    """
    total = sha256(_readers().encode())
    for path in paths:
        total.update(sha256(os.fsencode(path)).digest() + _state(path))
    return total.hexdigest()


@cache
def _readers() -> str:
    installed = []
    for package in READERS:
        with suppress(metadata.PackageNotFoundError):
            installed.append(f"{package} {metadata.version(package)}")
    return ", ".join(installed)


def _state(path: str) -> bytes:
    try:
        # a pipe would never end, and what is too large is left out
        if path.endswith(".txt") and os.path.isfile(path) and os.path.getsize(path) <= LABELS:
            with open(path, "rb") as file:
                return file_digest(file, "sha256").digest()
        stat = os.stat(path)
    except (OSError, ValueError):  # there is no such file, or it is a setting that ultralytics hashes along
        return b""
    return f"{stat.st_size}:{stat.st_mtime_ns}".encode()


def _place(path: Path) -> tuple[Path, str]:
    """Folder and name in place of `path`."""
    return cache_folder.current(), sha256(str(path).encode()).hexdigest()[:16]


_load_or_scan = dataset.YOLODataset._load_or_scan_cache
_verify_images = dataset.ClassificationDataset.verify_images


def _load_or_scan_apart(self: dataset.YOLODataset, cache_path: Path, cache_hash: str) -> tuple[dict, bool]:
    """Lists of images whose labels share a folder would overwrite each other's cache."""
    keypoints = self.data["kpt_shape"][0] if self.use_keypoints else None
    asked = Asked(self.im_files, None if self.single_cls else len(self.data["names"]), keypoints)
    with _asking(partial(labelled, asked), len(self.im_files)):
        return _load_or_scan(self, cache_path.with_name(cache_hash), cache_hash)


def _verify_images_asked(self: dataset.ClassificationDataset) -> list[tuple[str, int]]:
    with _asking(partial(classified, self.samples), len(self.samples)):
        return _verify_images(self)


dataset.YOLODataset._load_or_scan_cache = _load_or_scan_apart
dataset.ClassificationDataset.verify_images = _verify_images_asked
dataset.load_dataset_cache_file = load
dataset.save_dataset_cache_file = save
dataset.get_hash = content_hash
