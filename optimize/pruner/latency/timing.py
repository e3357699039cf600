"""Times networks by the clock of the report, and by layer, for a latency table."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeVar

import numpy as np

from optimize.errors import MeasurementError
from optimize.host.quiet import timing
from optimize.measure import latency
from optimize.measure.latency import ALIKE, Subject
from optimize.measure.profile import Profile, interleaved
from optimize.variant import Variant

if TYPE_CHECKING:
    from optimize.runtime.session import Runtime

ROUNDS, SECONDS = 12, 2.5  # rounds of the clock, and what all visits of one network may take in them
ORIGINALS, TIMINGS = 3, 3


@dataclass(frozen=True)
class Timed:
    """Networks that were timed with the original.

    Attributes:
        milliseconds: of the original.
        shares: of its time that each other network takes.
        noise: how far the times of the original's processes lie from their mean at most, as a share.
    """

    milliseconds: float
    shares: tuple[float, ...]
    noise: float


def timed(
    runtime: "Runtime",
    networks: Sequence[Variant],
    threads: int,
    seed: int,
    rounds: int = ROUNDS,
    seconds: float = SECONDS,
) -> Timed:
    """Time `networks`, the original first, which is opened `ORIGINALS` times; visits of each process take `seconds`.

    Two processes of one file differ by some percent for as long as they live, and an unlucky one of the original would
    shift all shares.

    Raises:
        Untimed: one of them can't be opened or called.
    """
    subjects: list[Subject] = [(runtime.open, variant) for variant in (*[networks[0]] * ORIGINALS, *networks[1:])]
    with timing():
        found = latency.measure(subjects, threads, rounds, seed, [0] * len(subjects), seconds)
    shares = np.array([1 / one.speedup for one in found.latencies])
    mean = float(np.exp(np.log(shares[:ORIGINALS]).mean()))
    return Timed(
        milliseconds=found.latencies[0].median_ms * mean,
        shares=tuple((shares[ORIGINALS:] / mean).tolist()),
        noise=float(np.abs(shares[:ORIGINALS] / mean - 1).max()),
    )


class Noisy(Protocol):
    """A timing; `noise` is how far two times of one file lay apart, as a share."""

    @property
    def noise(self) -> float: ...


Measured = TypeVar("Measured", bound=Noisy)


def steady(measure: Callable[[], Measured], enough: float = ALIKE) -> Measured:
    """What `measure` returns as soon as its noise is at most `enough`, else the least noisy of three calls.

    Raises:
        MeasurementError: that is too noisy to go by.
    """
    tries = list[Measured]()
    while len(tries) < TIMINGS and not any(one.noise <= enough for one in tries):
        tries.append(measure())
    best = min(tries, key=lambda one: one.noise)
    if best.noise <= ALIKE:
        return best
    raise MeasurementError(
        f"processes of one file differ by {best.noise:.1%} in their time, so a target in milliseconds can't be met "
        "here and now; end other programs and try again, or give a share of the FLOPs, e.g. prune=0.3 "
        "pruner.target=flops."
    )


def profiled(runtime: "Runtime", variants: Sequence[Variant], threads: int) -> tuple[Profile | None, ...]:
    with timing():
        return interleaved([(runtime.profiler, variant) for variant in variants], threads)


def by_known_layer(
    profile: Profile, layers: Sequence[str], names: dict[str, str], cutting: dict[str, tuple[str, ...]]
) -> dict[str, float]:
    """Milliseconds by layer, at one speed of the machine, with every kernel counted for one of `layers`.

    A kernel of another module, such as a pooling or a concatenation, counts for the known layer that ran before it,
    whose output it reads as a rule. What a module cuts and concatenates for its blocks alone goes with them, so it
    counts in equal parts for their last layers.

    Args:
        profile: of one network.
        layers: the known names, in the order of execution.
        names: for layers that fusing renames, the names that `layers` has, see `coupling.unfused_names`.
        cutting: such modules with their blocks, see `depth.cutting`.
    """
    ends = {name: [_last_of(block, layers) for block in blocks] for name, blocks in cutting.items() if blocks}
    times, last = dict[str, float](), ""
    for one in profile.layers:
        name = names.get(one.name, one.name)
        last = name if name in layers else last or layers[0]
        owners = ends.get(name, [last])
        for owner in owners:
            times[owner] = times.get(owner, 0.0) + one.milliseconds / profile.slowed / len(owners)
    return times


def _last_of(block: str, layers: Sequence[str]) -> str:
    return [layer for layer in layers if layer.startswith(f"{block}.")][-1]
