"""Time of one call by layer, as the runtime's own profiler reports it, by the clock of the latencies."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from optimize.errors import MeasurementError
from optimize.measure import clock
from optimize.measure.clock import Opened
from optimize.measure.groups import groups, opening
from optimize.measure.latency import at_one_speed
from optimize.progress import steps
from optimize.variant import Variant

ROUNDS, CALLS = 3, 10  # visits, and profiled calls of each: the profile of a layer needs no percentiles

Summary = Callable[[list[float]], float]


@dataclass(frozen=True)
class LayerTime:
    """Time of all kernels that one layer of the model was compiled to.

    Attributes:
        name: the module, as in `cost.Layer`, e.g. `model.2.cv1.conv`; empty for kernels that belong to no module.
        milliseconds: median over the profiled calls.
        ops: operations of the kernels, 2 per multiply-add.
        bytes: activations and weights that the kernels read and write, in the types that ran.
        arithmetic: the number format of most of its operations: `fp32`, `bf16`, `int8` ...
    """

    name: str
    milliseconds: float
    ops: int
    bytes: int
    arithmetic: str


@dataclass(frozen=True)
class Profile:
    """One variant's layers, in the order in which they run. Profiling adds time, so the sum is not the latency.

    Attributes:
        layers: their times.
        calls: how many were profiled.
        slowed: how many times as long the calls took as at this machine's median speed while all were profiled, see
            `latency.at_one_speed`; to compare layers of several variants, divide by it.
    """

    layers: tuple[LayerTime, ...]
    calls: int
    slowed: float = 1.0


@dataclass(frozen=True)
class Kernel:
    """One step of a compiled graph, in the order of execution.

    Attributes:
        module: the module that its name contains; empty where there is none, e.g. for a change of layout.
        reads, writes: names of tensors.
        milliseconds, ops, bytes, arithmetic: as in `LayerTime`; all 0 where nothing had to run.
    """

    module: str
    reads: tuple[str, ...]
    writes: tuple[str, ...]
    milliseconds: float
    ops: int
    bytes: int
    arithmetic: str


@dataclass(frozen=True)
class Profiler:
    """A loaded model whose runtime times each kernel.

    Attributes:
        run: runs the model once on an image of noise; called with True, it records the times.
        kernels: returns the kernels that ran, each with a summary of its times, e.g. `np.median`; ends the profiler.
    """

    run: Callable[[bool], None]
    kernels: Callable[[Summary], list[Kernel]]


OpenProfiler = Callable[[Variant, int], Profiler]  # as `Runtime.profiler`


def interleaved(
    subjects: Sequence[tuple[OpenProfiler | None, Variant]],
    threads: int,
    rounds: int = ROUNDS,
    summary: Summary = np.median,
) -> tuple[Profile | None, ...]:
    """Profile each `(profiler, variant)`, see `Runtime.profiler`; None where the runtime has none.

    Raises:
        MeasurementError: one of them can't be opened or called.
    """
    profiled = {i: (open_, variant) for i, (open_, variant) in enumerate(subjects) if open_}
    openers = [partial(_open, open_, variant, threads, summary, os.getpid()) for open_, variant in profiled.values()]
    profiles = dict[int, Profile]()
    try:
        for workers, _ in groups(openers, range(len(openers))):
            lengths = [clock.length(worker.milliseconds, rounds, timed=CALLS) for worker in workers.values()]
            times = clock.in_turns(list(workers.values()), lengths, steps("time by layer", rounds), seed=0)
            slowed = [float(np.median(a) / np.median(b)) for a, b in zip(times, at_one_speed(times), strict=True)]
            for (i, worker), (_, timed), slow in zip(workers.items(), lengths, slowed, strict=True):
                profiles[list(profiled)[i]] = Profile(worker.finish(), rounds * timed, slow)
    except clock.Stopped as error:
        variant = list(profiled.values())[error.index][1]
        raise MeasurementError(f"{variant.name} on {variant.runtime} can't be profiled: {error}") from error
    return tuple(profiles.get(i) for i in range(len(subjects)))


def _open(open_: OpenProfiler, variant: Variant, threads: int, summary: Summary, parent: int) -> Opened:
    """Open a profiler in a process of its own, which ends with the process `parent`."""
    with opening(parent):
        profiler = open_(variant, threads)
        if profiler is None:  # as a runtime of others may have it
            raise ValueError("its profiler is a function that gives None; write `profiler = None` instead")
        profiler.run(False)
    return Opened(profiler.run, lambda: by_layer(profiler.kernels(summary)))


def by_layer(kernels: list[Kernel]) -> tuple[LayerTime, ...]:
    """Group `kernels` by the layer that they came from; times and operations of the layers add up to the kernels'.

    A kernel whose name contains no module belongs to the layer whose output it reads. If it reads only the input of
    the network, it belongs to the layer that reads its output. So a layout change counts for the layer that needs it.
    """
    by_owner: dict[str, list[Kernel]] = {}
    for name, kernel in zip(_owners(kernels), kernels, strict=True):
        if kernel.milliseconds or kernel.ops:
            by_owner.setdefault(name, []).append(kernel)
    return tuple(_layer(name, group) for name, group in by_owner.items())


def _owners(kernels: list[Kernel]) -> list[str]:
    owners: list[str] = []
    written: dict[str, str] = {}
    read: dict[str, str] = {}
    for kernel in kernels:
        owner = kernel.module or next(filter(None, (written.get(tensor) for tensor in kernel.reads)), "")
        written |= dict.fromkeys(kernel.writes, owner)
        owners.append(owner)
    for i, kernel in reversed(list(enumerate(kernels))):
        owners[i] = owners[i] or next(filter(None, (read.get(tensor) for tensor in kernel.writes)), "")
        read |= dict.fromkeys(kernel.reads, owners[i])
    return owners


def _layer(name: str, kernels: list[Kernel]) -> LayerTime:
    most = max(kernels, key=lambda kernel: (kernel.ops, kernel.milliseconds))
    return LayerTime(
        name=name,
        milliseconds=sum(kernel.milliseconds for kernel in kernels),
        ops=sum(kernel.ops for kernel in kernels),
        bytes=sum(kernel.bytes for kernel in kernels),
        arithmetic=most.arithmetic,
    )
