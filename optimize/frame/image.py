"""Decode an image as ultralytics does: upright, in RGB, with 8 bits.

Copied into bundles: only Pillow and numpy are imported here.
"""

from pathlib import Path
from typing import IO

import numpy as np
from PIL import Image, ImageOps

UNREADABLE = (OSError, SyntaxError, ValueError, Image.DecompressionBombError)  # what Pillow raises


def open_image(
    file: str | Path | IO[bytes], fast: tuple[int, int] | None = None
) -> tuple[Image.Image, tuple[int, int]]:
    """An image in RGB, of which 16-bit ones keep their upper 8 bits, and the whole image's width and height.

    Args:
        file: path, or content.
        fast: None, or the height and width of the network's input: a JPEG is then decoded at a half, a quarter or an
            eighth of its size, if that is no smaller than what the network gets.

    Raises:
        One of UNREADABLE: it is no image that Pillow reads.
    """
    image: Image.Image = Image.open(file)
    if 0 in image.size:
        raise ValueError("it has no pixels")
    turned = image.getexif().get(0x0112, 1) in (5, 6, 7, 8)  # by a quarter: width and height change places
    size = (image.height, image.width) if turned else image.size
    if fast:
        gain = max(min(fast[0] / height, fast[1] / width) for width, height in (image.size, image.size[::-1]))
        image.draft(None, (max(round(image.width * gain), 1), max(round(image.height * gain), 1)))
    ImageOps.exif_transpose(image, in_place=True)
    if image.mode.startswith("I"):
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    return image if image.mode == "RGB" else image.convert("RGB"), size
