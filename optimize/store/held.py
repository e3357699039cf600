"""Work on one thing in the store: alone, and noted in the run's folder, so that nobody clears away what a run uses."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

from filelock import FileLock

from optimize.errors import InputError
from optimize.host.quiet import away
from optimize.inside import is_plain

NOTES = "uses.txt"
WORK = "work.txt"

_notes: ContextVar[Path | list[str] | None] = ContextVar("notes", default=None)


@contextmanager
def noting(folder: Path, earlier: Sequence[str] = ()) -> Iterator[None]:
    """Meanwhile the name of everything that is used of a store goes to `folder`/uses.txt, a line each, as it is used.

    So a run that was killed has its notes too. `earlier` are names that were collected before there was a folder.
    """
    notes = folder.absolute() / NOTES
    _note(notes, *earlier)
    before = _notes.set(notes)
    try:
        yield
    finally:
        _notes.reset(before)


@contextmanager
def collecting() -> Iterator[list[str]]:
    """Collect the names of all that is used of a store, as long as there is no folder to note them in."""
    names: list[str] = []
    before = _notes.set(names)
    try:
        yield names
    finally:
        _notes.reset(before)


def worked(how: str, what: str) -> None:
    """Add a line to `work.txt` beside uses.txt: `what`, a stage, was `made`, or `found` in the store."""
    if isinstance(notes := _notes.get(), Path):
        with notes.with_name(WORK).open("a", encoding="utf-8") as lines:
            lines.write(f"{how} {what}\n")


@contextmanager
def held(store: Path, name: str) -> Iterator[None]:
    """Be the only one, of all processes, who works on what `store` has or will have under `name`."""
    store.mkdir(parents=True, exist_ok=True)
    with away():  # who has it may wait for its turn to work
        lock = lock_of(store / f"{name}.lock").acquire()
    with lock:
        _note(_notes.get(), name)  # before the first look, so that who clears the store was there before or sees it
        yield


def lock_of(file: Path, *, timeout: float = -1, blocking: bool = True) -> FileLock:
    """The lock in `file`, which may be missing; it is not acquired yet.

    Args:
        file: of the lock.
        timeout: seconds to wait for it; -1 for as long as it takes.
        blocking: wait at all.

    Raises:
        InputError: what lies there is no file, or leads to another one.
    """
    if os.path.lexists(file) and not (file.is_file() and is_plain(file)):
        raise InputError(f"{file} is a link or no file, so it is no lock of ours; delete it.")
    return FileLock(file, timeout=timeout, blocking=blocking)


def _note(notes: Path | list[str] | None, *names: str) -> None:
    if isinstance(notes, list):
        notes += names
    elif notes:
        with notes.open("a", encoding="utf-8") as lines:
            lines.writelines(f"{name}\n" for name in names)
