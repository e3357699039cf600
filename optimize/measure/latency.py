"""Repeatable latency: all variants interleaved in one process on a quiet host, with ratios paired round by round.

Absolute times drift with the CPU's clock by tens of percent while ratios stay stable, so variants are never timed one
after the other. In every round each variant runs once untimed and `CALLS` times timed, in random order. One artefact
is opened twice (A/A check): the difference of its two times is the noise.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING

import numpy as np
from rich.progress import track

from optimize.errors import MeasurementError, described
from optimize.host.process import run_in_new_process
from optimize.progress import CONSOLE
from optimize.variant import Variant

if TYPE_CHECKING:
    from optimize.runtime.session import Session

ALIKE = 0.05  # a difference by a smaller share is within the noise, by experience with A/A checks
CALLS = 3
STEADY = 0.05  # warm-up ends when the medians of the last two windows differ by less than this share
WINDOW, MOST_WARM_UP = 5, 60

Open = Callable[[Variant, int], "Session"]  # as `Runtime.open`


@dataclass(frozen=True)
class Latency:
    """Time of one call of the graph on one image, from numpy in to numpy out, without letterbox and NMS.

    Attributes:
        median_ms, p95_ms, q1_ms, q3_ms: over all timed calls, in milliseconds.
        runs: number of timed calls.
        threads, batch: CPU threads and images of a call.
        device: `cpu` or `gpu`.
        arithmetic: the number formats that really ran, read back from the runtime, e.g. `fp32`, `bf16`, `int8+fp32`.
        int8_ops: operations, 2 per multiply-add, that ran in integer kernels, read back too; None where not known.
        speedup: time of the reference divided by the time of this variant, the median of the paired ratios of all
            rounds; the reference is the original in fp32 in the same runtime, or the first variant timed in it.
        speedup_low, speedup_high: the quartiles of those ratios.
    """

    median_ms: float
    p95_ms: float
    q1_ms: float
    q3_ms: float
    runs: int
    threads: int
    batch: int
    device: str
    arithmetic: str
    int8_ops: int | None
    speedup: float
    speedup_low: float
    speedup_high: float


@dataclass(frozen=True)
class Timing:
    """All latencies of one benchmark, in the order asked for, and its noise.

    `noise` is the A/A result: how far the median paired ratio of one artefact opened twice lies from 1;
    `noise_spread` is half the distance of the quartiles of those ratios.
    """

    latencies: tuple[Latency, ...]
    noise: float
    noise_spread: float
    rounds: int


class Untimed(MeasurementError):
    """A variant can't be opened or called.

    Attributes:
        index: position among the subjects of the timing.
    """

    def __init__(self, sentence: str, index: int):
        super().__init__(sentence, index)  # both: an exception returns from another process by its arguments
        self.index = index

    def __str__(self) -> str:
        return self.args[0]


def measure(
    subjects: list[tuple[Open, Variant]],
    threads: int,
    rounds: int,
    seed: int,
    references: list[int] | None = None,
) -> Timing:
    """Time each `(open, variant)` in a fresh process; `open(variant, threads)` gives a `Session`.

    Args:
        subjects: what is timed.
        threads, rounds, seed: as in `Judge`.
        references: for each subject the index of the subject that it is compared with; by default the original in
            float32 in the same runtime, or the first subject in that runtime if the original is not timed.

    Raises:
        Untimed: one of them can't be opened or called.
    """
    return run_in_new_process(_measure, subjects, threads, rounds, seed, references)


def _measure(
    subjects: list[tuple[Open, Variant]],
    threads: int,
    rounds: int,
    seed: int,
    references: list[int] | None = None,
) -> Timing:
    reference = references or [_reference(variant, [v for _, v in subjects]) for _, variant in subjects]
    twin = len(subjects)
    images = [
        np.random.default_rng(seed).random((1, 3, v.imgsz.height, v.imgsz.width), dtype=np.float32) for _, v in subjects
    ]
    images.append(images[-1])
    sessions = []
    for i, (open_, variant) in enumerate([*subjects, subjects[-1]]):
        try:
            sessions.append(open_(variant, threads))
            sessions[i](images[i])
        except Exception as error:  # runtimes raise anything; the caller can still time the others
            raise Untimed(
                f"{variant.name} on {variant.runtime} can't be timed: {described(error)}", min(i, twin - 1)
            ) from error
    for session, image in zip(sessions, images, strict=True):
        _warm_up(session, image)
    order, times = random.Random(seed), np.empty((rounds, len(sessions), CALLS))
    for this_round in track(range(rounds), "timing", console=CONSOLE, transient=True, disable=not CONSOLE.is_terminal):
        for i in order.sample(range(len(sessions)), len(sessions)):
            sessions[i](images[i])
            times[this_round, i] = [_milliseconds(sessions[i], images[i]) for _ in range(CALLS)]
    per_round = np.median(times, axis=2)
    latencies = tuple(
        _latency(times[:, i], per_round[:, reference[i]] / per_round[:, i], threads, sessions[i])
        for i in range(len(subjects))
    )
    low, middle, high = np.percentile(per_round[:, twin] / per_round[:, twin - 1], [25, 50, 75])
    return Timing(latencies, noise=abs(float(middle) - 1), noise_spread=float(high - low) / 2, rounds=rounds)


def _reference(variant: Variant, variants: list[Variant]) -> int:
    """Index of the original in the same runtime, or of the first variant in it if the original is not timed."""
    same = [i for i, v in enumerate(variants) if v.runtime == variant.runtime]
    return next((i for i in same if variants[i].name == "original"), same[0])


def _milliseconds(session: "Session", image: np.ndarray) -> float:
    start = perf_counter()
    session(image)
    return (perf_counter() - start) * 1e3


def _warm_up(session: "Session", image: np.ndarray) -> None:
    """Run until the times are steady: runtimes allocate, pack weights and choose kernels in their first calls."""
    times: list[float] = []
    while len(times) < MOST_WARM_UP:
        times += [_milliseconds(session, image) for _ in range(WINDOW)]
        before, now = (
            np.median(times[-2 * WINDOW : -WINDOW]) if len(times) > WINDOW else 0.0,
            np.median(times[-WINDOW:]),
        )
        if abs(before - now) <= STEADY * now:
            return


def _latency(times: np.ndarray, ratios: np.ndarray, threads: int, session: "Session") -> Latency:
    q1, median, q3, p95 = np.percentile(times, [25, 50, 75, 95])
    low, speedup, high = np.percentile(ratios, [25, 50, 75])
    return Latency(
        median_ms=float(median),
        p95_ms=float(p95),
        q1_ms=float(q1),
        q3_ms=float(q3),
        runs=times.size,
        threads=threads,
        batch=1,
        device=session.device,
        arithmetic=session.arithmetic,
        int8_ops=session.int8_ops,
        speedup=float(speedup),
        speedup_low=float(low),
        speedup_high=float(high),
    )
