"""Where the time of one call goes, layer by layer, as the runtime itself tells.

As for latencies, absolute times drift while ratios hold, so the variants take turns, in random order.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from rich.progress import track

from optimize.progress import CONSOLE
from optimize.variant import Variant

WARM_UP, ROUNDS, CALLS = 5, 8, 3

Summary = Callable[[list[float]], float]


@dataclass(frozen=True)
class LayerTime:
    """All kernels that one layer of the model became.

    Attributes:
        name: the module, as in `cost.Layer`, e.g. `model.2.cv1.conv`; empty for kernels that belong to none.
        milliseconds: median over the profiled calls.
        ops: operations, 2 per multiply-add, that they execute.
        bytes: activations and weights that they read and write, in the types that ran.
        arithmetic: `fp32`, `bf16`, `int8` ...: what most of its operations are computed in.
    """

    name: str
    milliseconds: float
    ops: int
    bytes: int
    arithmetic: str


@dataclass(frozen=True)
class Profile:
    """One variant's layers, in the order in which they run. Profiling costs time, so the sum is not the latency."""

    layers: tuple[LayerTime, ...]
    calls: int


@dataclass(frozen=True)
class Kernel:
    """One step of a compiled graph, in the order of execution.

    Attributes:
        module: what its name tells of where it came from; empty where that is nothing, e.g. a change of layout.
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
        run: one call on an image of noise; its times count where it is given True.
        kernels: what ran; each takes a summary of its times, e.g. `np.median`. Ends the profiler.
    """

    run: Callable[[bool], None]
    kernels: Callable[[Summary], list[Kernel]]


OpenProfiler = Callable[[Variant, int], Profiler | None]  # as `Runtime.profiler`


def interleaved(
    subjects: list[tuple[OpenProfiler, Variant]], threads: int, rounds: int = ROUNDS, summary: Summary = np.median
) -> tuple[Profile | None, ...]:
    """Profile each `(profiler, variant)`, see `Runtime.profiler`, in this process; None where the runtime can't."""
    opened = [profiler(variant, threads) for profiler, variant in subjects]
    profilers, order = [profiler for profiler in opened if profiler], random.Random(0)
    for profiler in profilers:
        for _ in range(WARM_UP):
            profiler.run(False)
    for _ in track(range(rounds), "time by layer", console=CONSOLE, transient=True, disable=not CONSOLE.is_terminal):
        for profiler in order.sample(profilers, len(profilers)):
            for call in range(1 + CALLS):
                profiler.run(call > 0)
    calls = rounds * CALLS
    return tuple(Profile(by_layer(profiler.kernels(summary)), calls) if profiler else None for profiler in opened)


def by_layer(kernels: list[Kernel]) -> tuple[LayerTime, ...]:
    """The layers that `kernels` came from; their times and operations add up to those of the kernels.

    A kernel whose name tells no module belongs to the layer whose output it reads; one that only the input of the
    network leads to, to the layer that it prepares it for. So a change of layout counts where it is needed.
    """
    owners: dict[str, list[Kernel]] = {}
    for name, kernel in zip(_owners(kernels), kernels, strict=True):
        if kernel.milliseconds or kernel.ops:
            owners.setdefault(name, []).append(kernel)
    return tuple(_layer(name, own) for name, own in owners.items())


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
