"""Throughput: images per second with several images in a call and several calls at once.

Latency and throughput are different goals: a camera waits for its one frame, while a box with four cameras lives by the
second. One file's calls in several streams share the cores, so each takes longer and all together less.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from optimize.errors import MeasurementError
from optimize.input_size import Size
from optimize.measure import clock
from optimize.measure.clock import Opened
from optimize.measure.groups import groups, opening
from optimize.measure.latency import speeds
from optimize.progress import steps

ROUNDS, SECONDS = 12, 4.0  # visits to each file, and what all of them may take
TIMED = 5  # bursts of a visit, at most
IMAGES, CALLS = 4, 2  # of each stream in a burst, at least

OpenStreams = Callable[[Path, str, int, int], Callable[[np.ndarray, int], object]]  # as `Batching.open_streams`


@dataclass(frozen=True)
class Batching:
    """How a runtime takes several images in a call, and several calls at once.

    Attributes:
        write: from a deployed file to a new one, for calls of so many images; None for any number.
        open_streams: opens a file for a precision on so many threads and streams: a function of an input and a number
            that calls it so often, all streams at once.
        open_model: opens a file for a precision on so many threads, as `device.open_model`: a function of an input that
            returns the outputs, and another one.
    """

    write: Callable[[Path, Path, int | None], None]
    open_streams: OpenStreams
    open_model: Callable[[Path, str, int], tuple[Callable[[np.ndarray], list[np.ndarray]], object]]


@dataclass(frozen=True)
class Load:
    """What is measured: calls of `batch` images to a file, `streams` of them at once."""

    open_streams: OpenStreams
    path: Path
    precision: str
    imgsz: Size
    batch: int
    streams: int

    @property
    def calls(self) -> int:
        """Calls of a burst, of all streams together."""
        return self.streams * max(CALLS, IMAGES // self.batch)


@dataclass(frozen=True)
class Rate:
    """Images per second of one file.

    Attributes:
        batch, streams: images of a call, calls at once.
        per_second, low, high: median and quartiles over all bursts of calls, images per second.
        calls: that were timed.
        file: name of the file, beside the row's own in the run's folder; the row's own for a batch of 1.
    """

    batch: int
    streams: int
    per_second: float
    low: float
    high: float
    calls: int
    file: str


def measure(loads: Sequence[Load], threads: int, seed: int) -> list[Rate]:
    """Measure loads, each in a process of its own, visited in turns.

    Args:
        loads: what is called and how.
        threads: CPU threads, which the streams of a file share.
        seed: of the order and the images, which are noise.

    Raises:
        MeasurementError: a file can't be opened or called.
    """
    openers = [partial(_open, load, threads, seed, os.getpid()) for load in loads]
    rates: dict[int, Rate] = {}
    try:
        for group in groups(openers, list(range(len(loads)))):
            workers = list(group.workers.values())
            lengths = [clock.length(worker.milliseconds, ROUNDS, TIMED, SECONDS) for worker in workers]
            times = clock.in_turns(workers, lengths, steps("throughput", ROUNDS), seed)
            factors = speeds(times)
            for i, visits in zip(group.workers, times, strict=True):
                rates[i] = _rate(loads[i], visits * factors[:, None])
    except clock.Stopped as error:
        load = loads[error.index]
        raise MeasurementError(
            f"{load.path.name} can't be called with batch {load.batch} in {load.streams} streams: {error}"
        ) from error
    return [rates[i] for i in range(len(loads))]


def _open(load: Load, threads: int, seed: int, parent: int) -> Opened:
    shape = (load.batch, 3, load.imgsz.height, load.imgsz.width)
    images = np.random.default_rng(seed).random(shape, dtype=np.float32)
    with opening(parent):
        burst = load.open_streams(load.path, load.precision, threads, load.streams)
        burst(images, load.streams)
    return Opened(lambda timed: burst(images, load.calls), lambda: None)


def _rate(load: Load, milliseconds: np.ndarray) -> Rate:
    low, median, high = np.percentile(1e3 * load.calls * load.batch / milliseconds, [25, 50, 75])
    return Rate(
        load.batch,
        load.streams,
        float(median),
        float(low),
        float(high),
        load.calls * milliseconds.size,
        load.path.name,
    )
