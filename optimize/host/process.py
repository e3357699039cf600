"""What is timed, or may be killed, runs in a process of its own."""

import os
import shlex
import subprocess
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from multiprocessing import active_children, get_context
from threading import Thread
from time import sleep
from typing import Any, TypeVar

import psutil

Answer = TypeVar("Answer")


def fresh(function: Callable[..., Answer], *arguments: Any) -> Answer:
    """`function(*arguments)` in a new process, so that no thread pool or memory of training and validation is in it.

    It ends with this one, and on Ctrl-C.
    """
    with ProcessPoolExecutor(1, get_context("spawn"), end_with, (os.getpid(),)) as pool:
        try:
            return pool.submit(function, *arguments).result()
        except KeyboardInterrupt:
            for child in active_children():
                child.kill()
            raise


@cache  # a worker has several jobs, and needs one thread
def end_with(parent: int) -> None:
    """End this process, within a second, when its parent has ended: whoever kills that wants no work to go on."""
    # found now, since it knows its process by number and start: the number of one that has ended is given again
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
    except psutil.AccessDenied:  # it is another user's, so it is there
        return True


def quoted(words: Sequence[str]) -> str:
    """One line that this system's shell takes for the command of these words."""
    return subprocess.list2cmdline(words) if os.name == "nt" else shlex.join(words)
