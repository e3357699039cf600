"""Locks the entries of a store, and lists in the run's folder which entries it uses, so that clearing keeps them."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from time import perf_counter

from filelock import FileLock

from optimize.errors import InputError
from optimize.host.quiet import away
from optimize.inside import is_plain

NOTES = "uses.txt"
WORK = "work.txt"

_notes: ContextVar[Path | list[str] | None] = ContextVar("notes", default=None)


@contextmanager
def noting(folder: Path, earlier: Sequence[str] = ()) -> Iterator[None]:
    """Append the name of each entry of a store that is used meanwhile to `folder`/uses.txt, at once, one per line.

    So a killed run has its list, too. `earlier` are names that were collected before the folder existed.
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
    """Collect the names of the entries of a store that are used, while there is no run's folder to list them in."""
    names: list[str] = []
    before = _notes.set(names)
    try:
        yield names
    finally:
        _notes.reset(before)


def record_found(stage: str) -> None:
    """Append a line to `work.txt` beside uses.txt: the work of `stage` was found in the store."""
    _record(f"found {stage}")


def record_made(stage: str, seconds: float, size: int = 0, times: int = 1) -> None:
    """The same of work that was done now, so many times: seconds of all, and bytes that they left in the store."""
    _record(f"made {stage} {seconds:.3f} {size} {times}")


@contextmanager
def recording(stage: str, times: int = 1) -> Iterator[None]:
    """Record the block as `stage`, done for so many rows, unless it ends with an error."""
    began = perf_counter()
    yield
    record_made(stage, perf_counter() - began, times=times)


def _record(line: str) -> None:
    if isinstance(notes := _notes.get(), Path):
        with notes.with_name(WORK).open("a", encoding="utf-8") as lines:
            lines.write(f"{line}\n")


@contextmanager
def held(store: Path, name: str) -> Iterator[None]:
    """Hold the lock of the entry `name` of `store`, whether it exists yet or not; no other process works on it."""
    store.mkdir(parents=True, exist_ok=True)
    with away():  # the process that holds it may itself wait for its turn to work
        lock = lock_of(store / f"{name}.lock").acquire()
    with lock:
        _note(_notes.get(), name)  # before the entry is looked up, so that a later clearing sees that it is used
        yield


def lock_of(file: Path, *, timeout: float = -1, blocking: bool = True) -> FileLock:
    """The lock of `file`, not acquired yet; the file may be missing.

    Args:
        file: the lock file.
        timeout: seconds to wait for the lock; -1 for as long as it takes.
        blocking: whether to wait at all.

    Raises:
        InputError: the path holds a link or something else that is not a file.
    """
    if os.path.lexists(file) and not (file.is_file() and is_plain(file)):
        raise InputError(f"{file} is a link or not a file, so it can't be used as a lock; delete it.")
    return FileLock(file, timeout=timeout, blocking=blocking)


def _note(notes: Path | list[str] | None, *names: str) -> None:
    if isinstance(notes, list):
        notes += names
    elif notes:
        with notes.open("a", encoding="utf-8") as lines:
            lines.writelines(f"{name}\n" for name in names)
