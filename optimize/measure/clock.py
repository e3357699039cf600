"""The clock: how long a call takes of files that each run alone, as where they are deployed.

Copied into bundles: only the standard library and numpy are imported here.

Every file is opened in a process of its own; one of them works at a time while the others sleep. Thread pools of
several runtimes in one process would share the cores, and calls of other files between the timed ones would empty the
caches, which makes small and fast files look slower than they are. Absolute times drift with the CPU's clock by tens of
percent while ratios stay stable, so in every round each file is visited once, in random order, and files are compared
round by round. A visit begins with untimed calls, which bring caches, clock and threads to where they are in steady
work.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from math import ceil, log
from multiprocessing import get_context
from multiprocessing.connection import Connection
from random import Random
from time import perf_counter
from typing import Any

import numpy as np

WARM, TIMED = 10, 20  # calls of a visit
LONGEST = 20.0  # seconds that all visits of one file may take; where they would take longer, visits have fewer calls
STEADY = 0.05  # warm-up ends when the medians of the last two windows differ by less than this share
WINDOW, MOST_WARM_UP = 5, 60  # calls
WARM_UP = 5.0  # seconds after which a warm-up ends in any case
CERTAIN = 0.99  # how surely some of the timed calls must lie above a percentile, see `percentile`
PATIENCE = 5  # seconds in which a process ends that has nothing left to do


@dataclass(frozen=True)
class Opened:
    """A model that was opened to be timed.

    Attributes:
        call: runs it once; the argument says whether this call is timed.
        finish: called after the last call; what it returns must be picklable.
        frame: takes the frame of this number through all its stages, of which the call is one, and returns the seconds
            of each.
    """

    call: Callable[[bool], object]
    finish: Callable[[], Any]
    frame: Callable[[int], Sequence[float]] = lambda number: ()


Opener = Callable[[], Opened]  # called in the new process, so it must be picklable


class Stopped(Exception):
    """A file can't be opened or called.

    Attributes:
        reason: in words.
        index: the number that `worker` was given.
    """

    def __init__(self, reason: str, index: int):
        super().__init__(reason)
        self.reason, self.index = reason, index


class Worker:
    """A process that has opened one file and sleeps between visits.

    Attributes:
        milliseconds: what one call takes once it is warm, roughly.
    """

    def __init__(self, line: "Connection[Any, Any]", process: Any, index: int):
        self._line, self._process, self._index = line, process, index
        self.milliseconds: float = self._receive()

    def visit(self, warm: int, timed: int) -> list[float]:
        """Milliseconds of `timed` calls behind `warm` untimed ones."""
        return self._ask(("visit", warm, timed))

    def frames(self, first: int, count: int) -> np.ndarray:
        """Milliseconds (count, 1 + stages) of frames from number `first` on, each time the whole frame first."""
        return self._ask(("frames", first, count))

    def finish(self) -> Any:
        """What `Opened.finish` returns; there are no visits after it."""
        return self._ask(None)

    def _ask(self, request: tuple[str, int, int] | None) -> Any:
        with suppress(OSError):  # it has ended; then nothing comes back, which tells why
            self._line.send(request)
        return self._receive()

    def _receive(self) -> Any:
        try:
            well, answer = self._line.recv()
        except (EOFError, OSError):
            self._process.join(PATIENCE)
            raise Stopped(f"its process ended with exit code {self._process.exitcode}", self._index) from None
        if not well:
            raise Stopped(answer, self._index)
        return answer


@contextmanager
def worker(opener: Opener, index: int = 0) -> Iterator[Worker]:
    """Open a file in a new process, and call it until its times are steady; the process ends with the context.

    Args:
        opener: opens the file there.
        index: to tell this file from others in `Stopped`.

    Raises:
        Stopped: `opener` raises an exception, or its process ends.
    """
    context = get_context("spawn")
    line, other_end = context.Pipe()
    process = context.Process(target=_serve, args=(opener, other_end), daemon=True)
    process.start()
    other_end.close()  # now only the new process holds it, so its end is noticed here
    try:
        yield Worker(line, process, index)
    finally:
        line.close()  # a sleeping process ends by this
        process.join(PATIENCE)
        process.kill()
        process.join()


def _serve(opener: Opener, line: "Connection[Any, Any]") -> None:
    """Answer the requests of a `Worker`, each with whether all went well, until one of both processes ends."""
    with suppress(OSError, KeyboardInterrupt):  # nobody listens any more
        try:
            opened = opener()
            line.send((True, warm_up(opened.call)))
            while (request := line.recv()) is not None:
                work, *counts = request
                line.send((True, visit(opened.call, *counts) if work == "visit" else frames(opened.frame, *counts)))
            line.send((True, opened.finish()))
        except (Exception, SystemExit) as error:  # runtimes raise anything
            line.send((False, str(error)))


def warm_up(call: Callable[[bool], object]) -> float:
    """Call until the times are steady, and return the milliseconds of a call.

    Runtimes allocate, pack weights and choose kernels in their first calls.
    """
    times: list[float] = []
    while True:
        times += visit(call, 0, WINDOW, told=False)
        now = float(np.median(times[-WINDOW:]))
        steady = len(times) > WINDOW and abs(np.median(times[-2 * WINDOW : -WINDOW]) - now) <= STEADY * now
        if steady or len(times) >= MOST_WARM_UP or sum(times) >= WARM_UP * 1e3:
            return now


def visit(call: Callable[[bool], object], warm: int, timed: int, *, told: bool = True) -> list[float]:
    """Milliseconds of `timed` calls behind `warm` untimed ones; `told` is what these timed calls are told."""
    for _ in range(warm):
        call(False)
    times = []
    for _ in range(timed):
        start = perf_counter()
        call(told)
        times.append((perf_counter() - start) * 1e3)
    return times


def frames(frame: Callable[[int], Sequence[float]], first: int, count: int) -> np.ndarray:
    """Milliseconds (count, 1 + stages) of frames from number `first` on, behind an untimed one."""
    frame(first)
    times = []
    for number in range(first, first + count):
        start = perf_counter()
        stages = frame(number)
        times.append([perf_counter() - start, *stages])
    return 1e3 * np.array(times)


def length(milliseconds: float, rounds: int, timed: int = TIMED, seconds: float = LONGEST) -> tuple[int, int]:
    """Untimed and timed calls of each of `rounds` visits to a file whose call takes so long: at least one of each.

    They are as many as take `seconds` in all rounds, and no more than `WARM` and `timed`.
    """
    calls = seconds * 1e3 / (rounds * milliseconds)
    share = min(1.0, calls / (WARM + timed))
    return max(1, int(share * WARM)), max(1, int(share * timed))


def in_turns(
    workers: Sequence[Worker],
    lengths: Sequence[tuple[int, int]],
    rounds: Iterable[int],
    seed: int,
    after: Callable[[int, int], object] = lambda number, i: None,
) -> list[np.ndarray]:
    """Milliseconds (rounds, timed calls of a visit) of each file, visited in random order in every round.

    Args:
        workers: one for each file.
        lengths: untimed and timed calls of a visit to each file, see `length`.
        rounds: one item for each visit to all files; it may show the progress.
        seed: of the order.
        after: called after each visit with the item of `rounds` and the index of the file.
    """
    order, times = Random(seed), [list[list[float]]() for _ in workers]
    for number in rounds:
        for i in order.sample(range(len(workers)), len(workers)):
            times[i].append(workers[i].visit(*lengths[i]))
            after(number, i)
    return [np.array(visits) for visits in times]


def ratios(times: np.ndarray, others: np.ndarray) -> tuple[float, float, float]:
    """Quartiles and median, in ascending order, of `times` divided by `others`: medians of visits, paired by round."""
    low, middle, high = np.percentile(np.median(times, axis=1) / np.median(others, axis=1), [25, 50, 75])
    return float(low), float(middle), float(high)


def percentile(times: np.ndarray, share: float) -> float | None:
    """The percentile of all calls; None with too few calls, as for a p90 with fewer than 44, a p99 with fewer than 459.

    Of n calls at least one lies above the percentile p with a probability of 1 - p^n, so that must be at least 99 %:
    n >= ln(0.01) / ln(p). With fewer calls the sample may hold nothing of the tail that the percentile describes.
    """
    enough = times.size >= ceil(log(1 - CERTAIN) / log(share))
    return float(np.percentile(times, 100 * share)) if enough else None
