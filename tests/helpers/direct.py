"""In place of a clock's process: the file is opened and called in this process, without a start that takes seconds."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from optimize.measure import clock
from optimize.measure.clock import Opened, Opener, Stopped


class Direct:
    def __init__(self, opened: Opened, index: int):
        self.opened, self.index = opened, index
        self.milliseconds = self._try(lambda: clock.warm_up(opened.call))

    def visit(self, warm: int, timed: int) -> list[float]:
        return self._try(lambda: clock.visit(self.opened.call, warm, timed))

    def finish(self) -> Any:
        return self._try(self.opened.finish)

    def _try(self, work: Any) -> Any:
        try:
            return work()
        except (Exception, SystemExit) as error:
            raise Stopped(str(error), self.index) from error


@contextmanager
def worker(opener: Opener, index: int = 0) -> Iterator[Direct]:
    try:
        opened = opener()
    except (Exception, SystemExit) as error:
        raise Stopped(str(error), index) from error
    yield Direct(opened, index)
