"""Rivals at equal time: beside the fastest of what was made, the untrained original at inputs that take as long.

The smaller input of equal FLOPs takes another time than the pruned model, so it does not show what a user could have in
the same milliseconds without any training. For the fastest row that was made in each runtime, and for the row that the
verdict names, these are the largest smaller input that is not slower, and the next larger one.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

from optimize.failures import record_failure
from optimize.input_size import Size, smaller
from optimize.judge import Judge
from optimize.measure.latency import Timing
from optimize.plan import Plan
from optimize.precision import FP32
from optimize.recover.finetune import Finetune
from optimize.result import Report, Result
from optimize.variants import Subject, at_size, trained_as_long
from optimize.verdict.rivals import is_made
from optimize.verdict.verdict import optimized
from optimize.yolo.checkpoint import load, stride

log = logging.getLogger(__name__)

STEPS = 6  # of the input's size, at most, from the first estimate to the two that bracket the time
ROUNDS, SECONDS = 12, 4.0  # of each timing that looks for them; the report's times are measured afterwards

Measure = Callable[[Subject], Result]
Time = Callable[[Report, Judge], Report]


class Target(NamedTuple):
    """A row that rivals are sought for.

    Attributes:
        row: of an optimized model, timed.
        precision: of the rivals: that of the row; for a file that was only quantized the fastest float precision.
        times: milliseconds in this precision where known, by the pixels of the input, the full one first.
    """

    row: Result
    precision: str
    times: dict[int, float]


def with_rivals(report: Report, plan: Plan, measure: Measure, time: Time) -> Report:
    """`report` with the rows of these rivals, placed behind the other rows of their runtime.

    Args:
        report: built and not timed yet.
        plan: that it was built by.
        measure: makes the row of a subject.
        time: gives a report its latencies.
    """
    made = (row for row in report.results if row.variant.runtime != "torch")
    if plan.rivals is None or not any(map(is_made, made)):
        return report
    log.info("looking for the smaller inputs that take as long as what was made")
    judge, failures = search_judge(plan), list(report.failures)
    for sought in targets(time(report, judge)):
        with record_failure(failures, "rivals at equal time", sought.row.variant.runtime):
            for row in missing_rows(sought, plan, judge, measure, report.results):
                report = replace(report, results=placed(report.results, row))
    return replace(report, failures=tuple(failures))


def search_judge(plan: Plan) -> Judge:
    """The judge of `plan` that times quickly, to look for rivals."""
    return replace(plan.judge, rounds=ROUNDS, seconds=SECONDS)


def missing_rows(
    sought: Target, plan: Plan, judge: Judge, measure: Measure, there: Sequence[Result]
) -> Iterator[Result]:
    """The rows of these rivals of `sought` that are not among those that are `there`."""
    names = {(row.variant.name, row.variant.runtime) for row in there}
    for size in bracket(sought, plan, judge):
        for subject in _subjects(sought, plan, size):
            if (subject.variant.name, subject.variant.runtime) not in names:
                yield measure(subject)


def targets(report: Report) -> list[Target]:
    """The rows that rivals are sought for: by runtime the fastest that was made, and the one of the verdict."""
    found = (target(row, report) for row in optimized(report))
    return [one for one in found if one is not None]


def target(row: Result, report: Report) -> Target | None:
    """`row` as a target; None where the original was not timed there, or is not slower: it is the rival already."""
    there = [other for other in report.results if other.variant.runtime == row.variant.runtime and other.latency]
    whole = [other for other in there if not other.rival and not other.variant.model]
    if row.variant.model:
        precision = row.variant.precision
    else:  # the original, quantized
        floats = [other for other in whole if not other.precision.integer]
        precision = min(floats, key=_milliseconds).variant.precision if floats else FP32.name
    known = [other for other in (*whole, *_smaller(there)) if other.variant.precision == precision]
    times = {other.variant.imgsz.pixels: _milliseconds(other) for other in known}
    full = report.results[0].variant.imgsz.pixels
    return Target(row, precision, times) if times.get(full, 0) > _milliseconds(row) else None


def bracket(sought: Target, plan: Plan, judge: Judge) -> list[Size]:
    """The largest smaller input that is not slower than the target, and the next larger one, below the full one."""
    sizes = list(smaller(plan.original.imgsz, stride(load(plan.original.path))))
    if not sizes:
        return []
    fits = estimate(sought.times, _milliseconds(sought.row))
    place = next((i for i, size in enumerate(sizes) if size.pixels <= fits), len(sizes) - 1)
    tried: dict[int, bool] = {}
    while len(tried) < STEPS and not _bracketed(tried, place, len(sizes) - 1):
        untried = [i for i in (place, place - 1) if i >= 0 and i not in tried]
        slower = _slower(sought, plan, judge, [sizes[i] for i in untried])
        tried |= dict(zip(untried, slower, strict=True))
        if tried[place] and place + 1 < len(sizes):
            place += 1
        elif not tried.get(place - 1, True):
            place -= 1
    return [sizes[i] for i in (place, place - 1) if i >= 0]


def estimate(times: dict[int, float], milliseconds: float) -> float:
    """The pixels whose time would be `milliseconds`, if time were a + b * pixels; with one known time a is 0."""
    (p0, t0), *others = times.items()
    p1, t1 = min(others, key=lambda pair: abs(pair[1] - milliseconds)) if others else (0, 0.0)
    if t0 <= t1:  # noise
        p1, t1 = 0, 0.0
    return p1 + (milliseconds - t1) / (t0 - t1) * (p0 - p1)


def _bracketed(tried: dict[int, bool], place: int, last: int) -> bool:
    """Whether the size at `place` is known not to be slower, or the smallest, and the one before it to be slower."""
    return place in tried and (not tried[place] or place == last) and tried.get(place - 1, place == 0)


def _slower(sought: Target, plan: Plan, judge: Judge, sizes: list[Size]) -> list[bool]:
    """Whether the original at each of these inputs is slower than the target, all timed in turns."""
    made = [at_size(plan, sought.row.variant.runtime, sought.precision, size).variant for size in sizes]
    timing: Timing = judge.time([sought.row.variant, *made])
    own, *others = (latency.median_ms for latency in timing.latencies)
    return [other > own for other in others]


def _subjects(sought: Target, plan: Plan, size: Size) -> list[Subject]:
    where = plan, sought.row.variant.runtime, sought.precision, size
    trained = plan.train_rivals and any(isinstance(stage, Finetune) and stage.epochs for stage in plan.shrink)
    return [at_size(*where), *([trained_as_long(*where)] if trained else [])]


def placed(rows: tuple[Result, ...], new: Result) -> tuple[Result, ...]:
    """`rows` with `new` behind the others of its runtime."""
    last = max(i for i, row in enumerate(rows) if row.variant.runtime == new.variant.runtime)
    return (*rows[: last + 1], new, *rows[last + 1 :])


def _smaller(rows: list[Result]) -> list[Result]:
    """The original at a smaller input, as far as the report has it."""
    return [row for row in rows if row.rival and row.variant.model == (f"{row.variant.imgsz}px",)]


def _milliseconds(row: Result) -> float:
    return row.time.median_ms
