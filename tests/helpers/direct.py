"""In place of a clock's process: the file is opened and called in this process, without a start that takes seconds."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from optimize import pipeline
from optimize.host import quiet
from optimize.measure import clock, latency, machine, start_up
from optimize.measure.clock import Opened, Opener, Stopped
from optimize.measure.start_up import StartUp
from optimize.sweep import end


def time_nothing(patch: pytest.MonkeyPatch, folder: Path) -> None:
    """Timings of one call in this process, which wait for no other's, and peaks measured with small graphs."""
    patch.setattr(quiet, "FOLDER", folder)
    patch.setattr(clock, "worker", worker)
    patch.setattr(clock, "length", lambda *_, **__: (1, 1))
    patch.setattr(latency, "per_visit", lambda *_: 1)
    patch.setattr(start_up, "measure", lambda *_: StartUp(20.0, 5.0, 90_000_000, 60_000_000))
    for module in pipeline, end:  # which rows these are depends on times, which are no test
        patch.setattr(module, "with_rivals", lambda reports, *_: reports)
    patch.setattr(machine, "SIZE", 16)
    patch.setattr(machine, "MOVED", {"memory": (1, 64, 64, 64), "cache": (1, 4, 64, 64)})


class Direct:
    def __init__(self, opened: Opened, index: int):
        self.opened, self.index = opened, index
        self.milliseconds = self._try(lambda: clock.warm_up(opened.call))

    def visit(self, warm: int, timed: int) -> list[float]:
        return self._try(lambda: clock.visit(self.opened.call, warm, timed))

    def frames(self, first: int, count: int) -> np.ndarray:
        return self._try(lambda: clock.frames(self.opened.frame, first, count))

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
