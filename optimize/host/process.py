"""Runs functions in new processes: what is timed, and what may be killed."""

import os
import shlex
import subprocess
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from functools import cache
from multiprocessing import active_children, get_context, spawn
from threading import Thread, get_ident
from time import sleep
from typing import Any, TypeVar
from unittest.mock import patch

import psutil

Answer = TypeVar("Answer")


def run_in_new_process(function: Callable[..., Answer], *arguments: Any) -> Answer:
    """Call `function(*arguments)` in a new process, without the thread pools and memory of training and validation.

    That process ends when this one ends, and on Ctrl-C.
    """
    with ProcessPoolExecutor(1, get_context("spawn"), end_with, (os.getpid(),)) as pool:
        try:
            return pool.submit(function, *arguments).result()
        except KeyboardInterrupt:
            for child in active_children():
                child.kill()
            raise


@contextmanager
def without_main() -> Iterator[None]:
    """Processes that this thread spawns inside the block do not run the main module of the program again.

    `multiprocessing` has every process that it spawns run that file, so that what is defined there can be sent to it;
    a script without `if __name__ == "__main__":` would start all over in each. Nothing that this package sends is
    defined there.
    """
    thread, prepare = get_ident(), spawn.get_preparation_data

    def prepared(name: str) -> dict[str, Any]:
        data = prepare(name)
        if get_ident() == thread:
            data = {key: value for key, value in data.items() if not key.startswith("init_main_from_")}
        return data

    with patch.object(spawn, "get_preparation_data", prepared):
        yield


@cache  # a worker runs several jobs, but needs one watching thread
def end_with(parent: int) -> None:
    """End this process within a second after its parent has ended, so that killing the parent stops all work."""
    # looked up now: psutil identifies a process by number and start time, since numbers are used again
    process = psutil.Process(parent) if psutil.pid_exists(parent) else None

    def wait() -> None:
        while process and _runs(process):
            sleep(1)
        os._exit(1)

    Thread(target=wait, daemon=True).start()


def _runs(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:  # it exists, and belongs to another user
        return True


def quoted(words: Sequence[str]) -> str:
    """The command line of `words`, quoted for this system's shell."""
    return subprocess.list2cmdline(words) if os.name == "nt" else shlex.join(words)
