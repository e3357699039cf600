"""A picture file as the network sees it in validation."""

import math
from pathlib import Path

import cv2
import numpy as np
from ultralytics.data.augment import LetterBox
from ultralytics.utils.patches import imread

from optimize.errors import InputError


def validation_image(path: Path, imgsz: int) -> np.ndarray:
    """`path` as (1, 3, imgsz, imgsz) float32 in 0..1, RGB: the pixels of ultralytics' validator with `rect=False`.

    The longer side is scaled to `imgsz` (the shorter one rounded up), then grey padding makes it square.

    Raises:
        InputError: the file is missing or can't be decoded.
    """
    picture = imread(path)
    if picture is None:
        raise InputError(f"{path} can't be read as a picture; remove it from the training split or replace it.")
    height, width = picture.shape[:2]
    scale = imgsz / max(height, width)
    if scale != 1:
        size = (min(math.ceil(width * scale), imgsz), min(math.ceil(height * scale), imgsz))
        picture = cv2.resize(picture, size, interpolation=cv2.INTER_LINEAR)
    square = LetterBox((imgsz, imgsz), scaleup=False)(image=picture)
    return np.ascontiguousarray(square[..., ::-1].transpose(2, 0, 1)[None], dtype=np.float32) / np.float32(255)
