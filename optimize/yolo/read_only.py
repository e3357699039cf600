"""Let ultralytics read a data set without writing to it.

ultralytics rewrites JPEGs that don't end as JPEGs, and keeps caches of labels and pixels beside the images. Importing
this module replaces what does so, here and in every process that imports it: JPEGs are repaired in memory and have the
pixels of ultralytics' repaired file, label caches go to the store, and pixels are cached in memory only. A `.npy` that
lies beside an image, which ultralytics would take for it, is left alone. Images and labels that never end, or that
decoding makes far too large, are left out like others that can't be used.
"""

import os
from collections.abc import Callable
from functools import wraps
from io import BytesIO
from pathlib import Path

import cv2
import numpy as np
from PIL import Image
from ultralytics.data import base, build, dataset, utils

from optimize.yolo import (
    bounded_yaml,  # noqa: F401  replaces what reads a data.yaml
    label_cache,  # noqa: F401  replaces where ultralytics keeps them
)
from optimize.yolo.bounds import check_kind, check_labels, check_pixels

JPEG, JPEG_END, PNG = b"\xff\xd8", b"\xff\xd9", b"\x89P"
NOWHERE = Path(os.devnull, "none.npy")

Read = Callable[..., np.ndarray | None]


def repaired(path: str | Path) -> bytes | None:
    """The JPEG that ultralytics would write over the one at `path`; None where it would leave the file as it is."""
    try:
        with open(path, "rb") as file:
            start = file.read(len(JPEG))
            file.seek(-len(JPEG_END), os.SEEK_END)
            if start != JPEG or file.read() == JPEG_END:
                return None
        with Image.open(path) as image:
            if image.format != "JPEG":  # several images in one file
                return None
        content = BytesIO()
        utils._exif_jpeg(path).save(content, "JPEG", subsampling=0, quality=100)
    except OSError:  # missing, or beyond repair: ultralytics leaves such an image out
        return None
    return content.getvalue()


def _repairing(read: Read) -> Read:
    @wraps(read)
    def read_repaired(filename: str | Path, flags: int = cv2.IMREAD_COLOR) -> np.ndarray | None:
        content = repaired(filename)
        if content is None:
            return read(filename, flags)
        image = cv2.imdecode(np.frombuffer(content, np.uint8), flags)
        return image[..., None] if image is not None and image.ndim == 2 else image

    return read_repaired


_check_image = utils.check_image


def check_image(im_file: str) -> tuple[str, tuple[int, int]]:
    """As ultralytics', which ends a training when it comes to a BMP or TIFF that is cut off.

    Raises:
        ValueError: it is such an image, or one that is too large or never ends. Whatever ultralytics' own raises, too:
            it leaves the image out then.
    """
    check_kind(im_file)
    with open(im_file, "rb") as file:
        start = file.read(12)
    try:
        check_pixels(im_file)
        message, shape = _check_image(im_file)
    except ModuleNotFoundError as error:  # what nothing else can read is taken for HEIF
        reason = "pi-heif is not installed (pip install pi-heif)" if b"ftyp" in start else "cannot identify image file"
        raise ValueError(reason) from error
    if not start.startswith((JPEG, PNG)) and read_image(im_file) is None:  # these two are checked well
        raise ValueError("image can't be decoded")
    return message, shape


_verify_image_label = utils.verify_image_label


def verify_image_label(args: tuple) -> tuple | list:
    """As ultralytics', which reads whatever lies there, and lets boxes of a pose be infinite."""
    image, label, prefix = args[:3]
    try:
        check_labels(label)
        checked = _verify_image_label(args)
        if checked[1] is not None and not all(
            np.isfinite(array).all() for array in (checked[1], checked[4]) if array is not None
        ):
            raise ValueError("labels that are no finite numbers")
    except ValueError as error:
        return [*[None] * 5, 0, 0, 0, 1, f"{prefix}{image}: ignoring corrupt image/label: {error}"]
    return checked


_check_file_speeds = utils.check_file_speeds


def check_file_speeds(files: list[str | Path], **settings) -> None:
    """As ultralytics', which reads some of the files to the end, of those that have one."""
    _check_file_speeds([file for file in files if _ends(str(file))], **settings)


def _ends(path: str) -> bool:
    try:
        check_kind(path)
    except ValueError:
        return False
    return True


class _Nowhere:
    """In place of the attribute `npy_files`: where they would lie there is nothing, and nothing can be written."""

    def __set__(self, instance: base.BaseDataset, files: list[Path]) -> None:
        vars(instance)["npy_files"] = [NOWHERE] * len(files)


def _no_disk_cache(self: base.BaseDataset, safety_margin: float = 0.1) -> bool:
    self.cache = None
    return False


_seed_worker = build.seed_worker


def seed_worker(worker_id: int) -> None:
    """As ultralytics', but of this module: a process that is spawned to load images imports it, and reads as we do."""
    _seed_worker(worker_id)


read_image = base.imread = dataset.imread = _repairing(base.imread)
dataset.imread_unicode = _repairing(dataset.imread_unicode)
utils.check_image = check_image
utils.verify_image_label = dataset.verify_image_label = verify_image_label
base.check_file_speeds = dataset.check_file_speeds = check_file_speeds
utils._replace_image = lambda im_file, write: write(BytesIO())
base.BaseDataset.npy_files = _Nowhere()
base.BaseDataset.check_cache_disk = _no_disk_cache
dataset.ClassificationDataset.cache_disk = property(lambda self: False, lambda self, value: None)
build.seed_worker = seed_worker
