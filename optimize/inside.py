"""Checks paths that are read from a file: each must lie below the folder of that file, without symbolic links.

Manifests, results and measurements may come from strangers. The paths in them are opened, shown, copied or deleted, so
a path that leads out of the folder would do that to the user's own files.
"""

import os
from collections.abc import Iterator
from pathlib import Path, PureWindowsPath
from stat import S_ISREG

from optimize.errors import InputError
from optimize.texts import CONTROL, shown

DEEPEST = 64  # nested folders; ours have few


def is_relative(name: str) -> bool:
    """Whether `name` is a relative path without `..` on every system: no root, drive or stream."""
    path = PureWindowsPath(name)  # splits at / and at \\
    return bool(path.parts) and not path.anchor and ".." not in path.parts and not CONTROL.search(name)


def inside(folder: Path, name: str | Path) -> Path:
    """The path of `name`, which a file in `folder` gives; it need not exist.

    Raises:
        InputError: it leads out of `folder`, or through a link.
    """
    if not is_relative(str(name)):
        raise InputError(
            f"a file in {folder} names {shown(str(name))!r}, which is not a relative path below that folder, so it is "
            "not opened; this program writes no such path, so use a copy of the file that was not changed."
        )
    place = folder
    for part in PureWindowsPath(name).parts:
        place = place / part
        if is_link(place):
            raise InputError(f"{place} is a link, and links in {folder} are not followed; copy the file there instead.")
    return place


def is_link(path: Path) -> bool:
    """Whether `path` itself is a link, or on Windows a junction."""
    return path.is_symlink() or getattr(os.path, "isjunction", lambda _: False)(path)


def files(folder: Path) -> Iterator[Path]:
    """All files and links below `folder`, and the folders that can't be read or are nested too deeply."""
    waiting = [(folder, 0)]
    while waiting:
        place, depth = waiting.pop()
        try:
            entries = sorted(place.iterdir())
        except OSError:  # deleted meanwhile, or not readable
            yield place
            continue
        for entry in entries:
            if depth < DEEPEST and not is_link(entry) and entry.is_dir():
                waiting.append((entry, depth + 1))
            else:
                yield entry


def is_plain(path: Path, alone: bool = False) -> bool:
    """Whether `path` is a file, or a folder of nothing but files and folders: no links, pipes or devices.

    Args:
        path: may be missing, which is neither.
        alone: whether files with a second hard link are refused, as they must be before writing.
    """
    try:
        below = files(path) if not is_link(path) and path.is_dir() else [path]
        stats = [file.lstat() for file in below]
    except FileNotFoundError:
        return False
    return all(S_ISREG(stat.st_mode) and not (alone and stat.st_nlink > 1) for stat in stats)


def content(path: Path, most: int) -> bytes | None:
    """The bytes of a file of at most `most`; None where there is none, or where it is a link, a pipe or larger."""
    if is_link(path) or not path.is_file() or path.stat().st_size > most:
        return None
    return path.read_bytes()
