"""What of a data set would take a process for ever, or all its memory, is refused before it is read.

The bounds are far beyond what people label: whoever reaches one has made the file for that.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from stat import S_ISDIR, S_ISREG

from PIL import Image

FILE = 2**30  # bytes of an image: as many as the largest that Pillow opens has without compression, with 16 bits
LABELS = 2**23  # bytes of the labels of one image: 400,000 points of polygons
LIST, LINE = 2**28, 2**15  # bytes of a list of images, and characters of one line: Windows has no longer paths
# Pixels that any image may have (400 MB decoded; scans of blank pages have half as many), and that a larger one may
# have for each byte of its file: photographs have 10 to 50, while 48 kB of PNG can stand for 2.8 GB of nothing.
PIXELS, PIXELS_BY_BYTE = 2**27, 200
PAGE = 2**12  # pixels that a page counts at least
PAGED = (".tif", ".tiff")  # of these OpenCV decodes every page
VISITS = 1000  # of folders in which we were before, since links lead there


def check_kind(path: str) -> None:
    """An image or a file of labels must be a file: a pipe or a device never ends. What isn't there is none.

    Raises:
        ValueError: it isn't one, or it is too large.
    """
    try:
        stat = os.stat(path)
    except (OSError, ValueError):  # whoever reads it says why
        return
    if not S_ISREG(stat.st_mode) and not S_ISDIR(stat.st_mode):
        raise ValueError("it is no file but a pipe or a device")
    if stat.st_size > FILE:
        raise ValueError("the file is too large")


def check_labels(path: str) -> None:
    """The same of a file of labels, which ultralytics reads as a whole.

    Raises:
        ValueError: as `check_kind`.
    """
    check_kind(path)
    if os.path.isfile(path) and os.path.getsize(path) > LABELS:
        raise ValueError("the file of labels is too large")


def check_pixels(path: str) -> None:
    """An image may stand for as many pixels as its file has bytes for; they are those that its header tells.

    Raises:
        ValueError: it has more. Whatever Pillow raises, too, where it can't read the header.
    """
    most = max(PIXELS, PIXELS_BY_BYTE * os.path.getsize(path))
    with Image.open(path) as image:
        if sum(_pages(image, path.lower().endswith(PAGED), most)) > most:
            raise ValueError("it has far more pixels than so small a file can show")


def _pages(image: Image.Image, all_of_them: bool, most: int) -> Iterator[int]:
    total, page = 0, 0
    while total <= most:
        pixels = image.width * image.height
        total += max(pixels, PAGE)
        yield max(pixels, PAGE)
        if not all_of_them:
            return
        try:
            page += 1
            image.seek(page)
        except EOFError:
            return


def check_list(path: Path) -> None:
    """A text file that lists images.

    Raises:
        ValueError: it, or one of its lines, is too long.
    """
    if path.stat().st_size > LIST:
        raise ValueError(f"{path} is larger than a list of images")
    with path.open("rb") as lines:
        if any(len(line) > LINE for line in lines):
            raise ValueError(f"{path} has a line that is longer than the path of an image")


def check_tree(folder: Path) -> None:
    """Whoever walks through a folder along its links must come to an end.

    Raises:
        ValueError: a link leads back to where it lies, or links lead to the same folders again and again.
    """
    seen: set[tuple[int, int]] = set()
    visits, inside = 0, [(folder, frozenset[tuple[int, int]]())]
    while inside:
        path, around = inside.pop()
        stat = path.stat()
        place = stat.st_dev, stat.st_ino
        if place in around:
            raise ValueError(f"{path} is a link to a folder that it lies in")
        visits += place in seen
        if visits > VISITS:
            raise ValueError(f"links in {folder} lead to the same folders more than {VISITS} times")
        seen.add(place)
        with os.scandir(path) as entries:
            folders = [Path(entry.path) for entry in entries if entry.is_dir()]
        inside += ((below, around | {place}) for below in folders)
