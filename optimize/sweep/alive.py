"""Locks of a sweep and its jobs: a process that works on a job, on any machine, holds the lock of its folder."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from time import sleep, time

from filelock import FileLock, Timeout

from optimize.errors import InputError
from optimize.store import held, manifest
from optimize.sweep import job
from optimize.sweep.sweep import LOCK, jobs

STOPPED = "it was stopped before it had ended; the same command resumes it."
PATIENCE = 20  # seconds from the end of one job to the start of the next, at most


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Hold the lock of the run in `folder`, since two runs would mix their files.

    Raises:
        InputError: another process holds it.
    """
    lock = lock_of(folder)
    try:
        yield
    finally:
        lock.release()


def lock_of(folder: Path) -> FileLock:
    """Acquire the lock of the run in `folder`.

    Raises:
        InputError: another process holds it.
    """
    (folder / ".hydra").mkdir(parents=True, exist_ok=True)
    lock = _lock(folder)
    try:
        lock.acquire()
    except Timeout as error:
        raise InputError(f"another run is writing into {folder}; give another folder, e.g. hydra.run.dir=b.") from error
    return lock


def alone_with(folder: Path) -> FileLock:
    """Acquire the lock of the sweep in `folder`.

    Raises:
        InputError: another process holds it.
    """
    if manifest.read(folder) is None:
        manifest.begin(folder, manifest.SWEEP)  # before the lock's file, which it proves to be ours
    lock = held.lock_of(folder / LOCK, timeout=0)
    try:
        lock.acquire()
    except Timeout as error:
        raise InputError(
            f"the sweep in {folder} is running; wait for its end, or give another folder, e.g. hydra.sweep.dir=b."
        ) from error
    return lock


def settle(folder: Path) -> bool:
    """Mark each running job of the sweep in `folder` whose lock is free as failed; return whether others still run."""
    works = False
    for one in jobs(folder):
        inside = folder / str(one.number)
        try:
            with _lock(inside):
                found = job.read(inside)
                if found and found.state == job.RUNNING:
                    job.write(replace(found, state=job.FAILED, ended=time(), sentence=STOPPED), inside)
        except Timeout:
            works = True
    return works


def wait(folder: Path, total: int | None) -> None:
    """Wait until the sweep's jobs have ended, since a launcher that fails may leave other jobs running.

    Args:
        folder: of the sweep.
        total: the number of jobs; None where it is not known.
    """
    last = time()
    while time() - last < PATIENCE:
        if settle(folder):
            last = time()
        elif len(jobs(folder)) == total:
            return
        sleep(1)


def _lock(folder: Path) -> FileLock:
    return held.lock_of(folder / ".hydra" / "lock", timeout=0)
