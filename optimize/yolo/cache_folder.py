"""The folder for what was found in data sets: a store, or a temporary one until something may be written into that."""

import atexit
import os
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp

from optimize.host.files import move
from optimize.store.held import held

FOLDER = "YOLO_OPTIMIZE_LABEL_CACHES"  # in the environment, so that processes that start from here have it too

_temporary: set[str] = set()  # folders of this process


def keep_in(store: Path | None) -> None:
    """From now on keep caches in `store`, with those that were kept meanwhile in the folder that None means.

    That is a temporary one, which ends with this process, for as long as nothing may be written into a store.
    """
    before = os.environ.get(FOLDER)
    os.environ[FOLDER] = str(store.absolute()) if store else _temporary_folder()
    if store and before and before in _temporary:
        for file in Path(before).iterdir():
            if file.suffix != ".lock":
                with held(store, file.stem):
                    write(store / file.name, file.read_bytes())


def current() -> Path:
    """The folder that was set last, by this process or by one that started it; a temporary one by default."""
    if FOLDER not in os.environ:
        keep_in(None)
    return Path(os.environ[FOLDER])


def write(path: Path, content: bytes) -> None:
    """Whole or not at all, while the caller holds the entry; what lies in the way goes, and no link is followed."""
    partial = path.with_suffix(".partial")
    for place in partial, path:
        if place.is_dir() and not place.is_symlink():
            rmtree(place)
    partial.unlink(missing_ok=True)
    with partial.open("xb") as file:
        file.write(content)
    move(partial, path)


def _temporary_folder() -> str:
    folder = mkdtemp(prefix="yolo-optimize-")
    atexit.register(rmtree, folder, ignore_errors=True)
    _temporary.add(folder)
    return folder
