"""Files that other processes read while they are written."""

import os
from pathlib import Path
from time import sleep
from uuid import uuid4

TRIES, PAUSE = 40, 0.05  # two seconds in all; reading one of our small files takes less


def move(source: Path, target: Path) -> None:
    """Rename `source` to `target` and replace a file of that name.

    Windows refuses this while another process has one of the files open, e.g. a virus scanner, so it is tried again.

    Raises:
        OSError: the file can't be renamed, on Windows not within two seconds.
    """
    for _ in range(TRIES - 1):
        try:
            return os.replace(source, target)
        except PermissionError:
            if os.name != "nt":  # only on Windows is this temporary
                raise
            sleep(PAUSE)
    return os.replace(source, target)


def write_text(path: Path, text: str) -> None:
    """Write `path` atomically, in UTF-8: a concurrent reader sees the old text or the new one.

    Line ends are those of `text` on every system.
    """
    partial = path.with_name(f".{path.name}.{uuid4().hex}")
    partial.write_text(text, encoding="utf-8", newline="\n")
    move(partial, path)
