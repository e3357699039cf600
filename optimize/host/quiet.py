"""Keeps this host quiet while a latency is timed: many runs may work at once, but a timing runs alone.

A readers-writer lock, built from the exclusive locks that filelock has on every system and that end with their process.
Each worker holds a lock file of its own. A timing holds `gate` and waits until no worker's file is held. A worker
passes `gate` before it begins, so a waiting timing is not starved. Containers on one host, and several users of one
Windows or macOS, exclude each other only if they share the lock folder; YOLO_OPTIMIZE_LOCKS names another folder.
Any user of the host can delay a timing there but do nothing else: no link is followed, no file's content is read.
"""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from functools import cache
from pathlib import Path
from stat import S_ISREG
from tempfile import gettempdir
from uuid import uuid4

from filelock import FileLock, Timeout

from optimize.errors import InputError

log = logging.getLogger(__name__)


PLACE = "YOLO_OPTIMIZE_LOCKS"  # environment variable, which child processes inherit


def _shared_folder() -> Path:
    """The lock folder; not gettempdir() where /tmp can be used, since job schedulers give each job its own TMPDIR."""
    if place := os.environ.get(PLACE):
        return Path(place)
    shared = Path("/tmp")
    return shared if os.name == "posix" and os.access(shared, os.W_OK | os.X_OK) else Path(gettempdir())


FOLDER = _shared_folder()
GATE, WORKERS = "yolo-optimize.gate.lock", "yolo-optimize.work.*.lock"
PATIENCE, FOR_EVER = 1, -1  # seconds; a wait of more than `PATIENCE` is logged

ALONE = "alone"
# state of this thread: the lock that it holds while it works, ALONE while it times
_work: ContextVar[FileLock | str | None] = ContextVar("work", default=None)


def check() -> None:
    """Check that the locks can be used, before anything is written.

    Raises:
        InputError: the lock folder is not a folder, or a lock's path holds something else.
    """
    if not FOLDER.is_dir():
        raise InputError(f"{PLACE}={FOLDER} is not a folder; give one that every user of this host can write to.")
    _lock(GATE)


@contextmanager
def working() -> Iterator[None]:
    """Hold a worker's lock during work that would disturb a timing; waits while a timing runs or waits.

    Nested, and inside `timing`, it does nothing.
    """
    if _work.get() is not None:
        yield
        return
    work = _lock(WORKERS.replace("*", uuid4().hex))
    _enter(work)
    before = _work.set(work)
    try:
        yield
    finally:
        _work.reset(before)
        _leave(work)


@contextmanager
def timing() -> Iterator[None]:
    """Be the only process on this host that works or times. Inside `working` this gives up the worker's lock meanwhile.

    Inside it, code must not wait for anything that another run holds.
    """
    with away(), _gate():
        for file in list(FOLDER.glob(WORKERS)):  # none can begin again before the gate opens
            if _may_be_lock(file):
                worker = _lock(file.name)
                _acquire(worker, "other runs on this host to finish their work, since timing needs a quiet machine")
                _leave(worker)  # this also deletes the files of killed processes
        before = _work.set(ALONE)
        try:
            yield
        finally:
            _work.reset(before)


@contextmanager
def away() -> Iterator[None]:
    """Give up the worker's lock of `working` meanwhile, so that other processes may time.

    Code that waits for anything that another run holds must do so inside it, to avoid a deadlock: the other run may be
    waiting for a timing to end, which waits for this work.
    """
    work = _work.get()
    if work is None or isinstance(work, str):
        yield
        return
    _leave(work)
    before = _work.set(None)
    try:
        yield
    finally:
        _work.reset(before)
        _enter(work)


def _enter(work: FileLock) -> None:
    with _gate():
        _acquire(work, "its own lock")  # no other process asks for it while this one holds the gate


def _leave(work: FileLock) -> None:
    work.release()
    with suppress(OSError):  # a timing has it open, or it belongs to another user
        Path(work.lock_file).unlink(missing_ok=True)


@contextmanager
def _gate() -> Iterator[None]:
    gate = _lock(GATE)
    _acquire(gate, "another run on this host to end its timing")
    try:
        yield
    finally:
        gate.release()


def _lock(name: str) -> FileLock:
    """The lock `name`, which any user of this host may take, whatever the umask.

    Raises:
        InputError: its path holds something that is not a lock file.
    """
    if not _may_be_lock(FOLDER / name):
        raise InputError(
            f"{FOLDER / name} is not a regular file, so it can't be the lock that keeps this host quiet during "
            f"timings; delete it, or name another lock folder in the environment variable {PLACE}."
        )
    return FileLock(FOLDER / name, mode=0o666)


def _may_be_lock(path: Path) -> bool:
    """Whether `path` is free or a regular file; a link may lead to a file of another program."""
    try:
        return S_ISREG(path.lstat().st_mode)
    except FileNotFoundError:
        return True


def _acquire(lock: FileLock, what: str) -> None:
    """Acquire `lock`, however long it takes; after `PATIENCE` seconds log that it waits for `what`."""
    try:
        try:
            lock.acquire(timeout=PATIENCE)
        except Timeout:
            log.info("waiting for %s", what)
            lock.acquire(timeout=FOR_EVER)
    except OSError as error:
        _warn(error.strerror or type(error).__name__)


@cache  # once in a process
def _warn(why: str) -> None:
    log.warning("can't lock files in %s (%s), so other runs on this host may disturb the timing", FOLDER, why)
