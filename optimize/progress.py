"""Progress bars on stderr; stdout belongs to the report."""

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import ParamSpec, Protocol, TypeVar

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn, track

from optimize.terminal import WIDTH_OF_A_FILE, Terminal
from optimize.texts import shown

CONSOLE = Terminal(stderr=True, width=None if sys.stderr.isatty() else WIDTH_OF_A_FILE)
# A bar moves the cursor, so it needs a terminal; rich also takes FORCE_COLOR for one, which notebooks and CIs set.

Arguments = ParamSpec("Arguments")
Answer = TypeVar("Answer")


class Tick(Protocol):
    """Wraps a function, so that each of its calls is a step of a bar."""

    def __call__(self, function: Callable[Arguments, Answer], /) -> Callable[Arguments, Answer]: ...


def steps(text: str, count: int) -> Iterable[int]:
    """0 to `count` - 1, with a bar that shows how far a loop over them is."""
    return track(range(count), text, console=CONSOLE, transient=True, disable=not sys.stderr.isatty())


@contextmanager
def bar(text: str, total: int) -> Iterator[Tick]:
    """Show a bar of `total` steps, and yield a decorator that makes each call of a function a step."""
    columns = TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=CONSOLE, transient=True, disable=not sys.stderr.isatty()) as progress:
        task = progress.add_task(shown(text), total=total)

        def tick(function: Callable[Arguments, Answer]) -> Callable[Arguments, Answer]:
            def call(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Answer:
                result = function(*args, **kwargs)
                progress.advance(task)
                return result

            return call

        yield tick
