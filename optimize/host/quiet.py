"""Quiet on this host while somebody times: many runs may work at once, but a timing is alone.

A readers-writer lock made of exclusive ones, which filelock has on every system and which vanish with their process.
Who works holds a file of its own; who times holds `gate` and waits until nobody holds a worker's file. Who begins to
work passes `gate` first, so that no stream of workers keeps a waiting timing from its turn. Containers on one host, and
users of one Windows or macOS, keep each other quiet only if they share the folder; YOLO_OPTIMIZE_LOCKS names another.
Anybody on the host can hold up a timing there, and nothing else: no link is followed, no file's content is read.
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


PLACE = "YOLO_OPTIMIZE_LOCKS"  # in the environment, and so in every process that starts from here


def _shared_folder() -> Path:
    """Not always gettempdir(), since job schedulers give every job a TMPDIR of its own."""
    if place := os.environ.get(PLACE):
        return Path(place)
    shared = Path("/tmp")
    return shared if os.name == "posix" and os.access(shared, os.W_OK | os.X_OK) else Path(gettempdir())


FOLDER = _shared_folder()
GATE, WORKERS = "yolo-optimize.gate.lock", "yolo-optimize.work.*.lock"
PATIENCE, FOR_EVER = 1, -1  # seconds until a wait is told

ALONE = "alone"
# of this thread: the lock it holds while it works, ALONE while it times
_work: ContextVar[FileLock | str | None] = ContextVar("work", default=None)


def check() -> None:
    """Look whether the locks can be had, before anything is written.

    Raises:
        InputError: the folder is none, or something else lies where a lock must.
    """
    if not FOLDER.is_dir():
        raise InputError(f"{PLACE}={FOLDER} is not a folder; give one that all who time on this host can write into.")
    _lock(GATE)


@contextmanager
def working() -> Iterator[None]:
    """Work that would disturb a timing; it begins when nobody times or waits to. Inside itself it changes nothing."""
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
    """Be the only one on this host who works or times. Inside `working` this interrupts the work.

    While it lasts, nothing may be waited for that another run holds.
    """
    with away(), _gate():
        for file in list(FOLDER.glob(WORKERS)):  # none can begin again before the gate opens
            if _may_be_lock(file):
                worker = _lock(file.name)
                _acquire(worker, "other runs on this host to end what they work on, since timing needs quiet")
                _leave(worker)  # those of killed processes are cleared away
        before = _work.set(ALONE)
        try:
            yield
        finally:
            _work.reset(before)


@contextmanager
def away() -> Iterator[None]:
    """An interruption of `working` in which others may time.

    Whoever waits for anything that another run holds must be away: the other may be waiting for its turn to work,
    behind one who times, who would wait for this work to end.
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
        _acquire(work, "a file of its own")  # nobody else asks for it while the gate is shut


def _leave(work: FileLock) -> None:
    work.release()
    with suppress(OSError):  # who times has it open, or it is another user's
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
    """Which any user of this host may take, whatever the umask.

    Raises:
        InputError: something else lies there.
    """
    if not _may_be_lock(FOLDER / name):
        raise InputError(
            f"{FOLDER / name} is no file of ours, so it can't be the lock that keeps this host quiet while something "
            f"is timed; delete it, or name another folder for such locks with the environment variable {PLACE}."
        )
    return FileLock(FOLDER / name, mode=0o666)


def _may_be_lock(path: Path) -> bool:
    """Nothing yet, or a regular file; a link may lead to anybody's."""
    try:
        return S_ISREG(path.lstat().st_mode)
    except FileNotFoundError:
        return True


def _acquire(lock: FileLock, what: str) -> None:
    """A wait of more than `PATIENCE` is told."""
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
    log.warning("no lock in %s (%s), so other runs on this host may work while this one times", FOLDER, why)
