"""Progress bars on stderr; stdout belongs to the report."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from optimize.terminal import WIDTH_OF_A_FILE, Terminal
from optimize.texts import shown

CONSOLE = Terminal(stderr=True, width=None if sys.stderr.isatty() else WIDTH_OF_A_FILE)


@contextmanager
def bar(text: str, total: int) -> Iterator[Callable[[Callable], Callable]]:
    """A bar of `total` steps. What it yields wraps a function, so that each of its calls is a step."""
    columns = TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=CONSOLE, transient=True, disable=not CONSOLE.is_terminal) as progress:
        task = progress.add_task(shown(text), total=total)

        def tick(function: Callable) -> Callable:
            def call(*args):
                result = function(*args)
                progress.advance(task)
                return result

            return call

        yield tick
