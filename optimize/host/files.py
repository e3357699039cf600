"""Files that other processes read while they are written."""

import os
from pathlib import Path
from time import sleep
from uuid import uuid4

TRIES, PAUSE = 40, 0.05  # two seconds, which no reader of our small files takes


def move(source: Path, target: Path) -> None:
    """Rename `source` to `target`, in place of a file that lies there.

    Windows refuses that while anybody has one of them open, a virus scanner for instance, so it is tried again.

    Raises:
        OSError: it can't be done, or not for two seconds.
    """
    for _ in range(TRIES - 1):
        try:
            return os.replace(source, target)
        except PermissionError:
            if os.name != "nt":  # here it is refused for good
                raise
            sleep(PAUSE)
    return os.replace(source, target)


def write_text(path: Path, text: str) -> None:
    """Write `path`, whole or not at all: whoever reads it meanwhile finds the old text or the new one.

    Lines end as in `text`, on every system, in UTF-8.
    """
    partial = path.with_name(f".{path.name}.{uuid4().hex}")
    partial.write_text(text, encoding="utf-8", newline="\n")
    move(partial, path)
