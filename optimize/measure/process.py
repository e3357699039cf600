"""What is timed runs in a process of its own."""

import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from multiprocessing import active_children, get_context
from threading import Thread
from time import sleep
from typing import Any


def fresh(function: Callable, *arguments: Any) -> Any:
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

    def wait() -> None:
        while os.getppid() == parent:
            sleep(1)
        os._exit(1)

    Thread(target=wait, daemon=True).start()
