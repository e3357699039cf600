"""The section on rivals at equal time: what was made beside the original at smaller inputs, in the same runtime."""

from optimize.report.sections.section import DASH, Section, Table
from optimize.result import Report
from optimize.verdict.plain import change
from optimize.verdict.rivals import Comparison, compared
from optimize.verdict.verdict import optimized

HEAD = ("runtime", "made", "rival", "px", "x as fast", "points", "+-", "ahead")
LEAD = (
    "The original at a smaller input costs no training, so it is the first thing to try. For the fastest row that was "
    "made in each runtime, and for the one that the verdict takes, these are the original at inputs that take about as "
    "long, and the other rivals there. `x as fast` and `points` compare the rival with what was made, `+-` is the "
    "standard error of the difference over the images. A rival is ahead where it is not slower and more accurate by "
    "more than two standard errors, or faster and not less accurate by that measure."
)


def section(report: Report) -> Section | None:
    """A row for each rival of each optimized row; None without rivals that were timed."""
    comparisons = [one for row in optimized(report) for one in compared(row, report) if _alike(one)]
    if not comparisons:
        return None
    table = Table(HEAD, tuple(map(_cells, comparisons)), words=(*HEAD[:3], HEAD[-1]))
    return Section("equal-time", "Rivals at equal time", LEAD, (table,), terminal=True)


def _alike(one: Comparison) -> bool:
    """Whether both are of one precision; a file that was only quantized is held against the original in float."""
    return one.rival.precision == one.row.precision or not one.row.variant.model


def _cells(one: Comparison) -> tuple[str, ...]:
    return (
        one.row.runtime.title,
        one.row.variant.name,
        one.rival.variant.name,
        str(one.rival.variant.imgsz),
        f"{one.faster:.2f}",
        change(one.gain),
        DASH if one.error is None else f"{one.error:.1f}",
        "the rival" if one.beats else DASH,
    )
