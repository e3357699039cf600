"""Quiet on this host while somebody times: many runs may work at once, but a timing is alone.

`flock` on two files: `work` is shared by all who work and exclusive to one who times; through `gate` passes who wants
either, and who waits to time keeps it shut, so that no stream of workers keeps the timing from its turn. The system
drops the locks of a process that dies. Containers on one host keep each other quiet only if they share the folder.
"""

import fcntl
import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from tempfile import gettempdir

log = logging.getLogger(__name__)

# not always gettempdir(), since job schedulers give every job a TMPDIR of its own
FOLDER = Path("/tmp") if os.access("/tmp", os.W_OK | os.X_OK) else Path(gettempdir())
PATIENCE, POLL = 1, 0.02  # seconds until a wait is told, and between two looks until then

ALONE = -1
# of this thread: the open file while it works, ALONE while it times
_work: ContextVar[int | None] = ContextVar("work", default=None)


@contextmanager
def working() -> Iterator[None]:
    """Work that would disturb a timing; it begins when nobody times or waits to. Inside itself it changes nothing."""
    if _work.get() is not None:
        yield
        return
    with _opened("work") as work:
        _enter(work)
        before = _work.set(work)
        try:
            yield
        finally:
            _work.reset(before)


@contextmanager
def timing() -> Iterator[None]:
    """Be the only one on this host who works or times. Inside `working` this interrupts the work.

    While it lasts, nothing may be waited for that another run holds.
    """
    with away(), _opened("gate") as gate, _opened("work") as work:
        _lock(gate, fcntl.LOCK_EX, "another run on this host to end its timing")
        _lock(work, fcntl.LOCK_EX, "other runs on this host to end what they work on, since timing needs quiet")
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
    if work in (None, ALONE):
        yield
        return
    fcntl.flock(work, fcntl.LOCK_UN)
    before = _work.set(None)
    try:
        yield
    finally:
        _work.reset(before)
        _enter(work)


def _enter(work: int) -> None:
    with _opened("gate") as gate:
        _lock(gate, fcntl.LOCK_SH, "another run on this host to end its timing")
        fcntl.flock(work, fcntl.LOCK_SH)  # free, since who times keeps the gate shut


def _lock(file: int, kind: int, what: str) -> None:
    told = time.monotonic() + PATIENCE
    while time.monotonic() < told:
        try:
            return fcntl.flock(file, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(POLL)
    log.info("waiting for %s", what)
    return fcntl.flock(file, kind)


@contextmanager
def _opened(name: str) -> Iterator[int]:
    """The file, which any user of this host may lock; closing it drops what was locked through it."""
    path = FOLDER / f"yolo-optimize.{name}.lock"
    file = None
    while file is None:
        try:
            file = os.open(path, os.O_RDWR)
        except FileNotFoundError:
            try:
                file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL)
                os.fchmod(file, 0o666)  # whatever the umask
            except FileExistsError:
                continue  # another was faster
    try:
        yield file
    finally:
        os.close(file)
