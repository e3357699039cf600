"""What the finished file takes of the original's time where pruning aimed at a time, and whether that is too much."""

from typing import NamedTuple

from optimize.latency_work import TimeTarget
from optimize.result import Report, Result
from optimize.verdict.plain import called, nothing
from optimize.work import Pruned


class Finished(NamedTuple):
    """The row of the finished file of a latency target.

    Attributes:
        row: of that file: trained, in the runtime and precision of the target.
        takes: share of the time of what it was cut from, in the same runtime and precision.
        cut: what the last cut says.
    """

    row: Result
    takes: float
    cut: Pruned


def latency_cuts(report: Report) -> list[tuple[Pruned, TimeTarget]]:
    """The cuts that aimed at a latency, in their order."""
    return [(stage, stage.time) for stage in report.stages if isinstance(stage, Pruned) and stage.time]


def finished(report: Report) -> Finished | None:
    """What the finished file takes; None without a latency target, or where one of both rows was not timed here."""
    cuts = latency_cuts(report)
    if not cuts:
        return None
    cut, time = cuts[-1]
    timed = {
        row.variant.model: (row, latency.speedup)
        for row, latency in report.timed
        if (f"{row.variant.runtime}-{row.variant.precision}", row.variant.imgsz) == (time.deployment, cut.imgsz)
    }
    model = next((model for model in timed if "pruned" in model), None)
    if model is None or time.milliseconds is None:
        return None
    whole = model[: model.index("pruned")]
    if whole not in timed:
        return None
    row, speedup = timed[model]
    return Finished(row, timed[whole][1] / speedup, cut)


def longer_than_asked(report: Report) -> list[str]:
    """A sentence where the finished file takes longer than asked by more than the noise: why, and what to ask for."""
    last = finished(report)
    if last is None:
        return []
    asked, int8 = 1 - last.cut.asked, last.row.quantization
    if last.takes <= asked * (1 + nothing(report)):
        return []
    layers = len(int8.float_layers or ()) if int8 else 0
    in_float = f", with {layers} of its layers back in float, since int8 lost too much" if layers else ""
    return [
        f"{called(last.row)} takes {last.takes:.1%} of the original's time where {asked:.1%} was asked for: what was "
        f"cut took {1 - last.cut.reached:.1%} before it was trained, the finished file takes longer{in_float}; "
        f"prune={1 - asked**2 / last.takes:.2f} makes up for it."
    ]
