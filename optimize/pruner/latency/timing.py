"""Times networks by the clock of the report, and by layer, for a latency table."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from optimize.host.quiet import timing
from optimize.measure import latency
from optimize.measure.latency import Subject, Timing
from optimize.measure.profile import Profile, interleaved
from optimize.variant import Variant

if TYPE_CHECKING:
    from optimize.runtime.session import Runtime

ROUNDS, SECONDS = 12, 2.5  # rounds of the clock, and what all visits of one network may take in them


def timed(runtime: "Runtime", variants: Sequence[Variant], threads: int, seed: int) -> Timing:
    """Latencies of `variants`, each relative to the first."""
    subjects: list[Subject] = [(runtime.open, variant) for variant in variants]
    with timing():
        return latency.measure(subjects, threads, ROUNDS, seed, [0] * len(subjects), SECONDS)


def profiled(runtime: "Runtime", variants: Sequence[Variant], threads: int) -> tuple[Profile | None, ...]:
    with timing():
        return interleaved([(runtime.profiler, variant) for variant in variants], threads)


def by_known_layer(profile: Profile, layers: Sequence[str], names: dict[str, str]) -> dict[str, float]:
    """Milliseconds by layer, at one speed of the machine, with every kernel counted for one of `layers`.

    A kernel of another module, such as a pooling or a concatenation, counts for the known layer that ran before it,
    whose output it reads as a rule.

    Args:
        profile: of one network.
        layers: the known names.
        names: for layers that fusing renames, the names that `layers` has, see `coupling.unfused_names`.
    """
    times, last = dict[str, float](), ""
    for one in profile.layers:
        name = names.get(one.name, one.name)
        last = name if name in layers else last or layers[0]
        times[last] = times.get(last, 0.0) + one.milliseconds / profile.slowed
    return times
