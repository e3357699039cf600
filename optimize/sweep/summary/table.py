"""The cells of a sweep's table, what failed, and both on the terminal."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from rich.table import Table

from optimize.report import words
from optimize.report.words import DASH
from optimize.sweep.summary import rows
from optimize.sweep.summary.rows import Row
from optimize.sweep.summary.summary import Summary, alarms, summarize
from optimize.sweep.sweep import Sweep
from optimize.terminal import terminal

UNTIMED = "not timed yet"
MEASURED = ("GFLOPs", "FLOPs", "MB")
TIMED = ("median ms", "faster")
WORDS = ("variant", "runtime", "arithmetic", "front", "jobs")


class Failed(NamedTuple):
    """A job, or a row of some, that is missing.

    Attributes:
        name: `job 3`, or what the row would be called.
        runtime: of the row; of a job none.
        jobs: the numbers of those that it failed in.
        overrides: as in `Row`.
        sentence: why.
    """

    name: str
    runtime: str
    jobs: tuple[int, ...]
    overrides: dict[str, str]
    sentence: str

    @property
    def called(self) -> str:
        """E.g. `int8 on openvino with prune=0.3`."""
        return f"{self.name}{f' on {self.runtime}' if self.runtime else ''}{rows.with_(self.overrides)}"


def columns(summary: Summary) -> list[str]:
    """The table's head."""
    metrics = {row.result.accuracy.metric for row in summary.rows}
    score = next(iter(metrics)) if len(metrics) == 1 else "accuracy"
    own = *("runtime", "arithmetic"), *MEASURED, score, "points", *timed_columns(summary), "front", "jobs"
    return ["variant", *summary.keys, *own]


def timed_columns(summary: Summary) -> tuple[str, ...]:
    """The columns of times, with that of whole frames where some row has them."""
    return *TIMED, *([words.FRAME] if any(row.result.frame for row in summary.rows) else [])


def cells(row: Row, summary: Summary) -> list[str]:
    """One per column; a dash where nothing was measured, and for an override that its jobs don't share."""
    told = dict(zip(words.columns(row.report), words.cells(row.result, row.report), strict=True))
    if row.report.noise is None:
        told |= dict.fromkeys(TIMED, UNTIMED)
    names = *MEASURED, row.result.accuracy.metric, "points", *timed_columns(summary)
    measured = [told.get(name, DASH) for name in names]
    return [
        told["variant"],
        *(row.overrides.get(key, DASH) for key in summary.keys),
        told["runtime"],
        told["arithmetic"],
        *measured,
        ", ".join(summary.fronts_of(row)) or DASH,
        jobs(row.jobs, summary.sweep),
    ]


def jobs(numbers: Sequence[int], sweep: Sweep) -> str:
    """E.g. `3`, `0-2, 5`, or `all` that were built."""
    if len(numbers) > 1 and len(numbers) == len(sweep.reports):
        return "all"
    return ", ".join(_ranges(sorted(numbers)))


def failures(summary: Summary) -> list[Failed]:
    """Jobs that failed, and below them the rows that are missing in others; what is the same in several jobs once."""
    told = summary.told
    found = [
        Failed(f"job {one.number}", "", (one.number,), told[one.number], one.sentence)
        for one in summary.sweep.jobs
        if one.sentence
    ]
    missing: dict[tuple[str, str, str], list[int]] = {}
    for number, report in summary.sweep.reports.items():
        for failure in report.failures:
            missing.setdefault((failure.name, failure.runtime, failure.sentence), []).append(number)
    for (name, runtime, sentence), numbers in missing.items():
        found.append(Failed(name, runtime, tuple(numbers), rows.shared([told[one] for one in numbers]), sentence))
    return found


def show(sweep: Sweep) -> None:
    """Print every alarm, the best rows and what failed to stdout."""
    summary = summarize(sweep)
    console = terminal()
    for (name, sentence), numbers in alarms(sweep).items():
        console.print(f"{name.upper()}: {sentence} (jobs: {jobs(numbers, sweep)})", style="bold red")
    shown = Table(title=summary.headline, title_justify="left", title_style="bold")
    for name in columns(summary):
        shown.add_column(name, justify="left" if name in WORDS else "right", no_wrap=name != "variant")
    for row in summary.worth:
        name, *others = cells(row, summary)
        shown.add_row(f"{name} (best)" if summary.is_best(row) else name, *others)
    console.print(shown if summary.rows else summary.headline, style=None if summary.rows else "bold")
    print(f"Shown of {len(summary.rows)} rows: Pareto fronts (accuracy against FLOPs, latency, size) and the best row.")
    for failed in failures(summary):
        console.print(f"- {failed.called} failed: {failed.sentence}", soft_wrap=True)


def _ranges(numbers: Sequence[int]) -> Iterator[str]:
    """0, 1, 2, 5 as `0-2`, `5`."""
    first = 0
    for i, number in enumerate(numbers):
        if i + 1 == len(numbers) or numbers[i + 1] != number + 1:
            yield f"{numbers[first]}-{number}" if i > first else str(number)
            first = i + 1
