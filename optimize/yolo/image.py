"""An image file as the network sees it in validation."""

import math
from pathlib import Path

import cv2
import numpy as np
from PIL import Image
from ultralytics.data.augment import LetterBox, classify_transforms
from ultralytics.data.dataset import ClassificationDataset

from optimize.errors import InputError
from optimize.input_size import Size
from optimize.yolo import read_only  # noqa: F401  replaces what reads images
from optimize.yolo.tasks import BY_NAME

COPY = 480


def validation_image(path: Path, imgsz: Size, task: str = "detect") -> np.ndarray:
    """`path` as (1, 3, height, width) float32 in 0..1, RGB: the pixels of the task's validator with `rect=False`.

    Raises:
        InputError: the file is missing, can't be decoded, or has pixels that are no integers.
    """
    parts = BY_NAME[task].parts()
    image = parts.open_image(path)
    if image is None:
        raise InputError(f"{path} can't be read as an image; remove it from the training split or replace it.")
    if image.dtype != np.uint8:
        raise InputError(f"{path} holds {image.dtype} pixels; only images of 8 or 16 bits can be used, so convert it.")
    return parts.fit(image, imgsz)


def write_small_copy(path: Path, target: Path, task: str = "detect") -> tuple[int, int]:
    """Write `path` as the validator sees it, upright and in colour, but small; return its width and height in pixels.

    The copy is a JPEG whose longer side is at most `COPY` pixels.

    Raises:
        InputError: the file, which was validated, has gone or changed meanwhile.
    """
    image = BY_NAME[task].parts().open_image(path)
    if image is None:
        raise InputError(
            f"{path} can't be read as an image any more; leave the data set as it is during a run, and start the "
            "command again."
        )
    pixels = image[..., ::-1]
    copy = Image.fromarray(np.ascontiguousarray(pixels.clip(0, 255), dtype=np.uint8))
    copy.thumbnail((COPY, COPY))
    copy.save(target)
    return pixels.shape[1], pixels.shape[0]


def open_as_classified(path: Path) -> np.ndarray | None:
    """(height, width, 3) BGR, as ultralytics reads the images of folders."""
    return ClassificationDataset.imread(str(path))


def cut_out(image: np.ndarray, imgsz: Size) -> np.ndarray:
    """Scaled and cut as the validator does: for a square the shorter side is scaled, and the middle is cut out."""
    rgb = Image.fromarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB))
    return classify_transforms(imgsz.sides)(rgb).numpy()[None]


def stretched(image: np.ndarray, imgsz: Size) -> np.ndarray:
    """Both sides are scaled to `imgsz`."""
    if image.shape[:2] != (imgsz.height, imgsz.width):
        image = cv2.resize(image, (imgsz.width, imgsz.height), interpolation=cv2.INTER_LINEAR)
    return _in_shares(image)


def letterboxed(image: np.ndarray, imgsz: Size) -> np.ndarray:
    """Scaled to fit into `imgsz`; grey padding fills the rest.

    As ultralytics does it, the longer side is first scaled to the longer side of `imgsz`, the other one rounded up;
    what does not fit into a rectangle then is scaled once more.
    """
    height, width = image.shape[:2]
    scale = imgsz.longer / max(height, width)
    if scale != 1:
        size = (min(math.ceil(side * scale), imgsz.longer) for side in (width, height))
        image = cv2.resize(image, tuple(size), interpolation=cv2.INTER_LINEAR)
    return _in_shares(LetterBox((imgsz.height, imgsz.width), scaleup=False)(image=image))


def _in_shares(fitted: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(fitted[..., ::-1].transpose(2, 0, 1)[None], dtype=np.float32) / np.float32(255)
