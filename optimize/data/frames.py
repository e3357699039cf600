"""Frames for timing what a deployment pays: images of the report, as they are or in the size of a camera's."""

import logging
from collections.abc import Callable, Sequence
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image, ImageOps

from optimize.dataset import Dataset
from optimize.frame.image import UNREADABLE, open_image
from optimize.frame.settings import settings
from optimize.measure.frames import Frames
from optimize.variant import Variant
from optimize.yolo.read_only import repaired
from optimize.yolo.tasks import BY_NAME

log = logging.getLogger(__name__)

COUNT = 24  # frames, evenly spread over the images of the report: more are no other crowd, and each process holds them
QUALITY = 90  # of the JPEGs
HEIC = b"ftypheic", b"ftypheix", b"ftypmif1"  # which ultralytics reads by a package that bundles lack


def frames_of(
    variants: Sequence[Variant],
    metadata: Callable[[Variant], dict[str, Any]],
    data: Dataset,
    size: tuple[int, int] | None,
) -> list[Frames | None]:
    """Frames for each of `variants`; None for all where no bundle decodes the outputs of the task.

    Args:
        variants: models of the task of `data`.
        metadata: reads that of a variant's file, as `Runtime.metadata`.
        data: the frames are of its images of the report.
        size: as for `example_frames`.
    """
    task = BY_NAME[data.task]
    if task.bundle_head is None:
        return [None] * len(variants)
    images, common_size = example_frames(data.report_images.files, size)
    frames = []
    for variant in variants:
        inside = metadata(variant)
        decoding = settings(variant.imgsz, task.bundle_head(inside), task.letterbox, inside["names"])
        frames.append(Frames(images, common_size, decoding) if images else None)
    return frames


@lru_cache(maxsize=2)  # the jobs of a sweep have the same
def example_frames(
    files: tuple[Path, ...], size: tuple[int, int] | None
) -> tuple[tuple[bytes, ...], tuple[int, int] | None]:
    """Encoded images, and their width and height where these are the same for all.

    Args:
        files: the images of the report.
        size: width and height; images of another size are scaled until they cover it, cut to its shape in the middle,
            and encoded as JPEGs. None for the images as they are.
    """
    images, sizes = [], set()
    for path in (files[i * len(files) // COUNT] for i in range(COUNT)) if len(files) > COUNT else files:
        content = repaired(path) or path.read_bytes()
        try:
            if content[4:12] in HEIC:
                raise ValueError("it needs the package pi-heif")
            image, own_size = open_image(BytesIO(content))
            image.load()
        except (*UNREADABLE, ImportError) as error:  # ImportError: ultralytics has replaced Image.open by its own
            log.warning("%s is no frame for timing, since Pillow can't decode it: %s", path, error)
            continue
        images.append(content if size in (None, own_size) else _encoded(image, size))
        sizes.add(size or own_size)
    return tuple(images), sizes.pop() if len(sizes) == 1 else None


def _encoded(image: Image.Image, size: tuple[int, int] | None) -> bytes:
    content = BytesIO()
    ImageOps.fit(image, size or image.size, Image.Resampling.BICUBIC).save(content, "JPEG", quality=QUALITY)
    return content.getvalue()
