"""Latency of variants: each file alone in a process of its own, all visited in turns, with ratios paired by round.

`clock` tells how. One file is opened twice (A/A check): the difference of its two times is the noise. Between the
visits each file takes whole frames, where there are some, see `frames`.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from optimize.errors import MeasurementError
from optimize.host.state import HostState, host_state
from optimize.measure import clock
from optimize.measure.clock import Opened, Opener
from optimize.measure.frames import Frames, FrameTime, frame_call, frame_time, per_visit
from optimize.measure.groups import Group, groups, opening
from optimize.progress import steps
from optimize.variant import Variant

if TYPE_CHECKING:
    from optimize.runtime.session import Session

ALIKE = 0.05  # a difference by a smaller share is within the noise, by experience with A/A checks

Open = Callable[[Variant, int], "Session"]  # as `Runtime.open`
Subject = tuple[Open, Variant]


@dataclass(frozen=True)
class Latency:
    """Time of one call of the graph on one image, from numpy in to numpy out, without letterbox and NMS.

    Attributes:
        median_ms, q1_ms, q3_ms: over all timed calls, in milliseconds, each round at the machine's median speed, see
            `at_one_speed`; so are the percentiles.
        runs: number of timed calls.
        threads, batch: CPU threads and images of a call.
        device: `cpu` or `gpu`.
        arithmetic: the number formats that really ran, read back from the runtime, e.g. `fp32`, `bf16`, `int8+fp32`.
        int8_ops: operations, 2 per multiply-add, that ran in integer kernels, read back too; None where not known.
        speedup: time of the reference divided by the time of this variant, the median of the paired ratios of all
            rounds; the reference is the original in fp32 in the same runtime, or the first variant timed in it.
        speedup_low, speedup_high: the quartiles of those ratios.
        p90_ms, p99_ms: over all timed calls; None with too few calls for them, see `clock.percentile`.
    """

    median_ms: float
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
    p90_ms: float | None = None
    p99_ms: float | None = None

    def scaled(self, factor: float) -> "Latency":
        """The same at another speed of the machine: every time is multiplied by `factor`, and no ratio changes."""
        return replace(
            self,
            median_ms=factor * self.median_ms,
            q1_ms=factor * self.q1_ms,
            q3_ms=factor * self.q3_ms,
            p90_ms=None if self.p90_ms is None else factor * self.p90_ms,
            p99_ms=None if self.p99_ms is None else factor * self.p99_ms,
        )


@dataclass(frozen=True)
class Timing:
    """All latencies of one benchmark, in the order asked for, and its noise.

    Attributes:
        latencies: one for each variant.
        noise: the A/A result, how far the median paired ratio of one artefact opened twice lies from 1.
        noise_spread: half the distance of the quartiles of those ratios.
        rounds: visits to each variant.
        host: the machine's state before and after.
        frames: times of whole frames, None for a variant that took none; empty where none did.
    """

    latencies: tuple[Latency, ...]
    noise: float
    noise_spread: float
    rounds: int
    host: tuple[HostState, HostState] | None = None
    frames: tuple[FrameTime | None, ...] = ()

    @property
    def times(self) -> list[tuple[Latency, FrameTime | None]]:
        """Of each variant the latency and the time of a frame."""
        return list(zip(self.latencies, self.frames or [None] * len(self.latencies), strict=True))


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
    subjects: list[Subject],
    threads: int,
    rounds: int,
    seed: int,
    references: list[int] | None = None,
    seconds: float = clock.LONGEST,
    frames: Sequence[Frames | None] = (),
) -> Timing:
    """Time each `(open, variant)`; `open(variant, threads)` gives a `Session`.

    As many files are open at once as fit into half of the free memory; where these are not all, they are timed in
    groups, each with the subjects that it is compared with, so that ratios hold across groups.

    Args:
        subjects: what is timed.
        threads, rounds, seed: as in `Judge`.
        references: for each subject the index of the subject that it is compared with; by default the original in
            float32 in the same runtime, or the first subject in that runtime if the original is not timed.
        seconds: that the visits of one subject may take.
        frames: for each subject the frames that it takes as well, None for none; by default none for all.

    Raises:
        Untimed: one of them can't be opened or called.
    """
    own = references or [_reference(variant, [v for _, v in subjects]) for _, variant in subjects]
    each = frames or [None] * len(subjects)
    openers = [opener(open_, variant, threads, seed, one) for (open_, variant), one in zip(subjects, each, strict=True)]
    latencies, noises, taken = dict[int, Latency](), list[tuple[float, float, float]](), dict[int, FrameTime]()
    states = list[tuple[HostState, HostState]]()
    try:
        for group in groups(openers, own):
            last = group.wanted[-1]
            with clock.worker(openers[last], last) as twin:
                before = host_state()  # loading may use more threads, and a quota may stop it without harm
                (*times, again), own_frames = _visited(group, twin, rounds, seed, seconds, each)
                states.append((before, host_state()))
                by_subject, taken = dict(zip(group.workers, times, strict=True)), taken | own_frames
                for i in group.wanted:
                    latencies[i] = _latency(by_subject[i], by_subject[own[i]], threads, *group.workers[i].finish())
            noises.append(clock.ratios(again, by_subject[last]))
    except clock.Stopped as error:
        variant = subjects[error.index][1]
        raise Untimed(f"{variant.name} on {variant.runtime} can't be timed: {error}", error.index) from error
    return Timing(
        tuple(latencies[i] for i in range(len(subjects))),
        noise=max(abs(middle - 1) for _, middle, _ in noises),
        noise_spread=max(high - low for low, _, high in noises) / 2,
        rounds=rounds,
        host=_before_and_after(states),
        frames=tuple(taken.get(i) for i in range(len(subjects))) if taken else (),
    )


def _visited(
    group: Group, twin: clock.Worker, rounds: int, seed: int, seconds: float, frames: Sequence[Frames | None]
) -> tuple[list[np.ndarray], dict[int, FrameTime]]:
    """All visits to a group, at one speed of the machine.

    Returns milliseconds (rounds, calls) of each file and of the twin of the last, and by index the times of frames.
    """
    workers, indices = [*group.workers.values(), twin], list(group.workers)
    lengths = [clock.length(worker.milliseconds, rounds, seconds=seconds) for worker in group.workers.values()]
    of_twin = lengths[indices.index(group.wanted[-1])]
    used = {place: frames[i] for place, i in enumerate(group.workers) if i in group.wanted and frames[i]}
    count = per_visit(max(worker.milliseconds for worker in workers), rounds)
    visits: dict[int, list[np.ndarray]] = {place: [] for place in used}

    def take_frames(number: int, place: int) -> None:
        if place in used:
            visits[place].append(workers[place].frames(number * count, count))

    times = clock.in_turns(workers, [*lengths, of_twin], steps("timing", rounds), seed, take_frames)
    speed = speeds(times)
    taken = {indices[place]: frame_time(visits[place], speed, own.size) for place, own in used.items() if own}
    return [one * speed[:, None] for one in times], taken


def at_one_speed(times: list[np.ndarray]) -> list[np.ndarray]:
    """Times of all files, (rounds, calls) each, with every round brought to the machine's median speed."""
    return [one * speeds(times)[:, None] for one in times]


def speeds(times: list[np.ndarray]) -> np.ndarray:
    """For each round the factor that brings its times to the machine's median speed.

    A machine that others share is now fast and now slow, for seconds or minutes. The median over all calls of one file
    may then fall into a slow time and that of another into a fast one, so that medians contradict the paired ratios.
    The speed of a round is the geometric mean of the medians of all visits in it; ratios stay as they are.
    """
    medians = np.array([np.median(one, axis=1) for one in times])
    level = np.exp(np.log(medians).mean(axis=0))
    factors: np.ndarray = np.median(level) / level
    return factors


def _before_and_after(states: list[tuple[HostState, HostState]]) -> tuple[HostState, HostState]:
    """The first and the last of the states around each group; throttled is only what passed inside of them."""
    (first, _), (_, last) = states[0], states[-1]
    if first.throttled_s is None:
        return first, last
    stopped = sum((after.throttled_s or 0) - (before.throttled_s or 0) for before, after in states)
    return first, replace(last, throttled_s=first.throttled_s + stopped)


def opener(open_: Open, variant: Variant, threads: int, seed: int, frames: Frames | None = None) -> Opener:
    """What opens a variant for `clock.worker`, to be called with an image of noise, and with frames if there are."""
    return partial(_open, open_, variant, threads, seed, os.getpid(), frames)


def _open(open_: Open, variant: Variant, threads: int, seed: int, parent: int, frames: Frames | None) -> Opened:
    """Open a variant in a process of its own, which ends with the process `parent`."""
    image = np.random.default_rng(seed).random((1, 3, variant.imgsz.height, variant.imgsz.width), dtype=np.float32)
    with opening(parent):
        session = open_(variant, threads)
        session(image)
    return Opened(
        lambda timed: session(image),
        lambda: (session.device, session.arithmetic, session.int8_ops),
        *([frame_call(session, frames, threads)] if frames else []),
    )


def _reference(variant: Variant, variants: list[Variant]) -> int:
    """Index of the original in the same runtime, or of the first variant in it if the original is not timed."""
    same = [i for i, v in enumerate(variants) if v.runtime == variant.runtime]
    return next((i for i in same if variants[i].name == "original"), same[0])


def _latency(
    times: np.ndarray, of_reference: np.ndarray, threads: int, device: str, arithmetic: str, int8_ops: int | None
) -> Latency:
    q1, median, q3 = (float(value) for value in np.percentile(times, [25, 50, 75]))
    low, speedup, high = clock.ratios(of_reference, times)
    return Latency(
        median_ms=median,
        q1_ms=q1,
        q3_ms=q3,
        runs=times.size,
        threads=threads,
        batch=1,
        device=device,
        arithmetic=arithmetic,
        int8_ops=int8_ops,
        speedup=speedup,
        speedup_low=low,
        speedup_high=high,
        p90_ms=clock.percentile(times, 0.9),
        p99_ms=clock.percentile(times, 0.99),
    )
