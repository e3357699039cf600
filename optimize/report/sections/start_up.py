"""The section on what a deployment pays besides its calls: time to start, and memory."""

from optimize.measure.start_up import CALLS, STARTS
from optimize.report.sections.section import Section, Table
from optimize.result import Report

HEAD = ("variant", "runtime", "load ms", "first result ms", "memory MB", "before the model MB", "of the model MB")
LEAD = (
    f"Medians of {STARTS} new processes that import numpy and the runtime and open the file as a bundle does; the file "
    "lies in the page cache, so a first start after power-on takes longer. Memory is the most that the process took up "
    f"to its {CALLS}th call, what it took before it opened the file, and the difference (1 MB is 1e6 bytes)."
)


def section(report: Report) -> Section | None:
    """A row per variant that was started; None without any."""
    rows = tuple(
        (
            row.variant.name,
            row.variant.runtime,
            f"{start.load_ms:.0f}",
            f"{start.load_ms + start.first_ms:.0f}",
            *(f"{count / 1e6:.1f}" for count in (start.peak_bytes, start.before_bytes, start.model_bytes)),
        )
        for row in report.results
        if (start := row.start_up)
    )
    if not rows:
        return None
    return Section("start", "Start and memory", LEAD, (Table(HEAD, rows, words=HEAD[:2]),))
