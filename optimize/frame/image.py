"""Decode an image as ultralytics does: upright, in RGB, with 8 bits.

Copied into bundles: only Pillow and numpy are imported here.
"""

import ctypes
import sys
from pathlib import Path
from typing import IO, Any

import numpy as np
from PIL import Image, ImageOps

LARGE_FROM = -3, 32 << 20  # M_MMAP_THRESHOLD, its maximum: what is larger is taken from the system each time
RETURNED_FROM = -1, 256 << 20  # M_TRIM_THRESHOLD: more free memory than this goes back
UNREADABLE = (OSError, SyntaxError, ValueError, Image.DecompressionBombError)  # what Pillow raises


def keep_memory() -> None:
    """Have the C library keep what an image took for the next one, where it is glibc.

    Otherwise it goes back to the system and comes again page by page, which can take as long as decoding; whether it
    does depends on what else the process has allocated (mallopt(3)).
    """
    library: Any = ctypes.CDLL(None) if sys.platform == "linux" else None
    if hasattr(library, "mallopt"):
        library.mallopt(*LARGE_FROM)
        library.mallopt(*RETURNED_FROM)


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
