"""The original in every runtime and precision that may be chosen: its time, and what the precision costs."""

from collections.abc import Sequence
from dataclasses import dataclass

from optimize.judge import Judge
from optimize.latency_work import DeploymentChoice
from optimize.mix.way import Way, predicted
from optimize.pruner.latency.timing import steady
from optimize.store.apply import report_of
from optimize.variant import Variant
from optimize.work import Quantized
from optimize.yolo.checkpoint import load


@dataclass(frozen=True)
class Original:
    """The original in one way.

    Attributes:
        way: the runtime and precision.
        milliseconds: of one call.
        drop: percentage points that it loses against torch, on the images that choices are made on.
        reached: whether its int8 keeps what `quant.max_drop` asks; true for other precisions.
    """

    way: Way
    milliseconds: float
    drop: float
    reached: bool

    def choice(self, expected: float | None) -> DeploymentChoice:
        return DeploymentChoice(str(self.way), self.milliseconds, self.drop, expected)


def measure_originals(variant: Variant, ways: Sequence[Way], judge: Judge) -> list[Original]:
    """The checkpoint `variant` in each of `ways`, timed in turns, or by the table of another device.

    Raises:
        MeasurementError: one file opened twice differs too much to tell, or a file can't be timed.
    """
    files = [way.file(variant) for way in ways]
    here = [file for way, file in zip(ways, files, strict=True) if not way.elsewhere]
    timing = steady(lambda: judge.time(here)) if here else None
    timed = iter(timing.latencies if timing else ())
    whole = judge.choice_score(variant).score
    originals = []
    for way, file in zip(ways, files, strict=True):
        work = report_of(file)
        originals.append(
            Original(
                way,
                predicted(way, load(variant.path), variant.imgsz) if way.elsewhere else next(timed).median_ms,
                drop=100 * (whole - judge.choice_score(file).score),
                reached=not isinstance(work, Quantized) or work.reached,
            )
        )
    return originals


def fastest_first(originals: Sequence[Original]) -> list[Original]:
    return sorted(originals, key=lambda one: one.milliseconds)
