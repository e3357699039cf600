"""What a job of a search is worth: accuracy and milliseconds of what it asked for, against the first job's original.

A clock drifts by tens of percent between two batches of jobs, and each job's own original may have another input size.
So every batch is timed together with the untouched original of the first job, which all others are compared with.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from optimize.judge import Judge
from optimize.limits import Limits
from optimize.measure.latency import Latency
from optimize.result import Report, Result
from optimize.sweep.timing import timed
from optimize.variant import without_head
from optimize.verdict import verdict
from optimize.verdict.class_loss import class_losses
from optimize.verdict.plain import called, points


@dataclass(frozen=True)
class Worth:
    """What the sampler learns from a job.

    Attributes:
        row: the row that the verdict takes of what the job asked for, e.g. `pruned+int8 on OpenVINO`.
        score: its accuracy, the task's main metric, 0 to 1, on the images that choices are made on.
        milliseconds: its median time, at the speed that the machine had when the original was timed first.
        excess: by limit, how far the row is beyond it, in points for `max_drop` and `max_class_drop`,
            else as a share of the limit; 0 or less where it is met.
    """

    row: str
    score: float
    milliseconds: float
    excess: dict[str, float]


def clock(first: Report) -> dict[str, float]:
    """By runtime, the milliseconds of the original in `first`, where it was timed."""
    return {row.variant.runtime: row.latency.median_ms for row in _originals(first) if row.latency}


def worth(
    first: Report, others: Sequence[Report], speed: dict[str, float] | None = None
) -> tuple[list[Worth | None], dict[str, float]]:
    """What each of `others` is worth, None where nothing that it asked for could be timed; and the clock used.

    Args:
        first: of the untouched original.
        others: reports of the same model and data, perhaps at other input sizes.
        speed: the `clock` of an earlier call, to which times are brought; None to start with this call's.
    """
    if not others:
        return [], speed or {}
    alone = replace(first, results=tuple(map(_by_choice, _originals(first))))
    joined = [  # each compared with the former
        replace(other, results=(*alone.results, *map(_by_choice, asked(other)))) for other in others
    ]
    timed_first, *timed_others = timed([alone, *joined], with_frames=first.limits.frame_ms is not None)
    speed = speed or clock(timed_first)
    return [_worth(other, len(asked(before)), speed) for before, other in zip(others, timed_others, strict=True)], speed


def asked(report: Report) -> list[Result]:
    """The rows that the job was about: of its last model, in the precision that `quant` names.

    The other rows are the same in many jobs, and would tell nothing of this one.
    """
    own = [row for row in report.results if not row.rival]
    models = [row for row in own if (row.variant.runtime, row.variant.precision) == ("torch", "fp32")]
    model = without_head(models[-1].variant.tags)  # with two heads these are the rows of both
    last = [row for row in own if row.variant.tags[: len(model)] == model]
    return [row for row in last if report.quant in (None, row.variant.precision)]


def scored(report: Report, judge: Judge) -> Report:
    """`report` in which the rows that the job was about have an accuracy on the images that choices are made on."""
    if report.provenance.chosen_on == report.provenance.accuracy_on:
        return report
    rows = asked(report)
    results = (
        replace(row, choice=judge.choice_score(row.variant)) if any(row is one for one in rows) else row
        for row in report.results
    )
    return replace(report, results=tuple(results))


def _by_choice(row: Result) -> Result:
    return replace(row, accuracy=row.choice_accuracy)


def _originals(report: Report) -> list[Result]:
    return [row for row in report.results if row.variant.name == "original" and not row.rival]


def _worth(joined: Report, count: int, speed: dict[str, float]) -> Worth | None:
    originals, own = joined.results[:-count], joined.results[-count:]
    comparable = {row.variant.runtime for row in originals if row.latency} & set(speed)
    rows = [_at(row, row.latency, speed) for row in own if row.latency and row.variant.runtime in comparable]
    told = replace(joined, results=(*originals, *rows))
    found = verdict.decide(told, rows)
    best = found.choice
    if best is None or best.latency is None:  # nothing could be timed
        return None
    milliseconds = best.latency.median_ms
    return Worth(called(best), best.accuracy.score, milliseconds, _excess(best, milliseconds, told, found.limits))


def _at(row: Result, latency: Latency, speed: dict[str, float]) -> Result:
    """The row with the time that it takes at the given speed of the machine."""
    return replace(row, latency=replace(latency, median_ms=speed[row.variant.runtime] / latency.speedup))


def _excess(row: Result, milliseconds: float, told: Report, limits: Limits) -> dict[str, float]:
    values: dict[str, float] = {"latency_ms": milliseconds, "flops": row.flops, "size_mb": row.size_bytes / 1e6}
    if row.frame:
        values["frame_ms"] = row.frame.total.median_ms
    shares = {name: value / getattr(limits, name) - 1 for name, value in values.items() if getattr(limits, name)}
    lost = {} if limits.max_drop is None else {"max_drop": -points(row, told) - limits.max_drop}
    if limits.max_class_drop is not None:
        largest = max((loss.points for loss in class_losses(row, told)), default=0.0)
        lost["max_class_drop"] = largest - limits.max_class_drop
    return lost | shares
