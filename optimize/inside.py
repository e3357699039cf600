"""The one rule for paths that a file names: each leads to something below the folder of that file, and through no link.

Manifests, results and measurements may come from others. What they name is opened, shown, copied or deleted, so a name
that leads elsewhere would do that to files of the user's.
"""

import os
from collections.abc import Iterator
from pathlib import Path, PureWindowsPath
from stat import S_ISREG

from optimize.errors import InputError
from optimize.texts import CONTROL, shown

DEEPEST = 64  # folders in folders; ours have few, and each costs a call on the way down


def is_relative(name: str) -> bool:
    """Whether `name` stays below the folder that it starts from, on every system: no root, drive, stream or `..`."""
    path = PureWindowsPath(name)  # which knows / and \\ alike
    return bool(path.parts) and not path.anchor and ".." not in path.parts and not CONTROL.search(name)


def inside(folder: Path, name: str | Path) -> Path:
    """Where `name`, which a file in `folder` gives, leads; nothing needs to be there.

    Raises:
        InputError: it leads out of `folder`, or through a link.
    """
    if not is_relative(str(name)):
        raise InputError(
            f"{shown(str(name))!r} is named by a file in {folder} and is no relative path below it, so it is not "
            "opened; a file of ours holds none like it, so take one that was not changed."
        )
    place = folder
    for part in PureWindowsPath(name).parts:
        place = place / part
        if is_link(place):
            raise InputError(f"{place} is a link, and nothing of {folder} is looked for elsewhere; copy it there.")
    return place


def is_link(path: Path) -> bool:
    """Whether `path` itself is a link, or on Windows a junction."""
    return path.is_symlink() or getattr(os.path, "isjunction", lambda _: False)(path)


def files(folder: Path) -> Iterator[Path]:
    """Everything below `folder` that is no folder, and folders that can't be read or lie too deep; links too."""
    waiting = [(folder, 0)]
    while waiting:
        place, depth = waiting.pop()
        try:
            entries = sorted(place.iterdir())
        except OSError:  # gone meanwhile, or another user's
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
        path: what is not there is neither.
        alone: no file may have a second name elsewhere, as one that is going to be written must not.
    """
    try:
        below = files(path) if not is_link(path) and path.is_dir() else [path]
        found = [file.lstat() for file in below]
    except FileNotFoundError:
        return False
    return all(S_ISREG(one.st_mode) and not (alone and one.st_nlink > 1) for one in found)


def content(path: Path, most: int) -> bytes | None:
    """The bytes of a file of at most `most`; None where there is none, or where it is a link, a pipe or larger."""
    if is_link(path) or not path.is_file() or path.stat().st_size > most:
        return None
    return path.read_bytes()
