"""A hash over what images hold, whatever their dates say: a copy of a data set is the same data set."""

import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from hashlib import file_digest, sha256
from pathlib import Path

from optimize.errors import InputError
from optimize.host.resources import cores
from optimize.inside import content
from optimize.progress import bar
from optimize.store.held import held
from optimize.yolo import cache_folder

SUFFIX = ".images"
LENGTH = 64  # hex digits of a SHA-256
HASH = re.compile(rb"[0-9a-f]{%d}" % LENGTH)


def content_hash(images: Sequence[Path]) -> str:
    """SHA-256 over the content of these files in their order, in hex.

    They are read once; what was found is kept beside the label caches until the path, size or date of one changes.

    Args:
        images: files, with absolute paths.

    Raises:
        InputError: one can't be read.
    """
    folder, name = cache_folder.current(), _state(images)
    file = folder / f"{name}{SUFFIX}"
    with held(folder, name):
        kept = content(file, LENGTH)
        if kept and HASH.fullmatch(kept):
            return kept.decode()
        with bar("Reading images", len(images)) as tick, ThreadPoolExecutor(cores()) as pool:
            total = sha256(b"".join(pool.map(tick(_digest), images))).hexdigest()
        cache_folder.write(file, total.encode())
    return total


def _state(images: Sequence[Path]) -> str:
    """16 hex digits that differ where a file may hold something else; a changed file has a new date of either kind."""
    total = sha256()
    for image in images:
        stat = image.stat()
        total.update(f"{image}\0{stat.st_size} {stat.st_mtime_ns} {stat.st_ctime_ns}\0".encode())
    return total.hexdigest()[:16]


def _digest(image: Path) -> bytes:
    try:
        with image.open("rb") as file:
            return file_digest(file, "sha256").digest()
    except OSError as error:  # labels were read before, maybe by somebody who may read more
        raise InputError(f"{image} can't be read ({error.strerror}); make it readable, or take it out.") from error
