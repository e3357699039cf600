"""What is timed runs in a process of its own."""

from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any


def fresh(function: Callable, *arguments: Any) -> Any:
    """`function(*arguments)` in a new process, so that no thread pool or memory of training and validation is in it."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()
