"""Progress bars on stderr; stdout belongs to the report."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

WIDTH_OF_A_FILE = 180  # a pipe has no width, and a broken table is worse than a long line

CONSOLE = Console(stderr=True, width=None if sys.stderr.isatty() else WIDTH_OF_A_FILE)


@contextmanager
def bar(text: str, total: int) -> Iterator[Callable[[Callable], Callable]]:
    """A bar of `total` steps. What it yields wraps a function, so that each of its calls is a step."""
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=CONSOLE, transient=True, disable=not CONSOLE.is_terminal) as progress:
        task = progress.add_task(text, total=total)

        def tick(function: Callable) -> Callable:
            def call(*args):
                result = function(*args)
                progress.advance(task)
                return result

            return call

        yield tick
