"""The summary of a sweep over all of its jobs."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from optimize.limits import Limits
from optimize.sweep import job
from optimize.sweep.summary.fronts import fronts
from optimize.sweep.summary.rows import Row, groups, overrides, rows
from optimize.sweep.sweep import Sweep
from optimize.verdict import gates, verdict
from optimize.verdict.optimism import Optimism, of_choice
from optimize.verdict.verdict import Verdict


@dataclass(frozen=True)
class Finding:
    """The verdict over rows that can be compared.

    Attributes:
        asked: the limits that were set.
        verdict: over all of them.
        row: the best, or the nearest miss.
        parts: what to take, and why, as in a run's report.
        optimism: what that choice among the rows of all jobs is worth; None where it isn't known.
    """

    asked: Limits
    verdict: Verdict
    row: Row
    parts: tuple[str, str]
    optimism: Optimism | None


@dataclass(frozen=True)
class Summary:
    """The content of the page, the CSV and the terminal.

    Attributes:
        sweep: how far it is.
        told: by the job's number, what was set for it that others don't have the same.
        rows: what was measured, each artefact once.
        fronts: the rows on the Pareto front for each cost metric.
        findings: one, unless data, threads or limits differ between the jobs; none before all is timed.
    """

    sweep: Sweep
    told: dict[int, dict[str, str]]
    rows: list[Row]
    fronts: dict[str, list[Row]]
    findings: list[Finding]

    @property
    def keys(self) -> list[str]:
        """Of the overrides that differ between the jobs."""
        return list(dict.fromkeys(key for own in self.told.values() for key in own))

    def fronts_of(self, row: Row) -> list[str]:
        return [cost for cost, best in self.fronts.items() if row in best]

    def is_best(self, row: Row) -> bool:
        return any(found.row is row and found.verdict.best is not None for found in self.findings)

    @property
    def worth(self) -> list[Row]:
        """The rows on a Pareto front, and the best rows."""
        return [row for row in self.rows if self.is_best(row) or self.fronts_of(row)]

    @property
    def headline(self) -> str:
        """The variant of the sweep to deploy, in one sentence; before timing the progress of the sweep."""
        said = [f"{'; '.join(found.parts)}." for found in self.findings]
        return " ".join(said) or f"{progress(self.sweep)}."


def summarize(sweep: Sweep) -> Summary:
    told = overrides(sweep.jobs)
    known = rows(sweep, told)
    return Summary(sweep, told, known, fronts(known), _findings(sweep, known) if sweep.timed else [])


def alarms(sweep: Sweep) -> dict[gates.Gate, list[int]]:
    """Every alarm of any job, once, with the numbers of the jobs that have it."""
    found: dict[gates.Gate, list[int]] = {}
    for number, report in sweep.reports.items():
        for gate in gates.fired(report):
            found.setdefault(gate, []).append(number)
    return found


def progress(sweep: Sweep) -> str:
    """E.g. `5 of 12 jobs built, 1 failed, 2 running, 4 not begun; not timed yet`."""
    states: Counter[job.State] = Counter(one.state for one in sweep.jobs)
    total = f" of {sweep.total}" if sweep.total else ""
    begun = f"{states[job.BUILT]}{total} jobs built"
    others = (states[job.FAILED], "failed"), (states[job.RUNNING], "running"), (not_begun(sweep), "not begun")
    said = ", ".join([begun, *(f"{count} {what}" for count, what in others if count)])
    return said if sweep.timed else f"{said}; not timed yet"


def not_begun(sweep: Sweep) -> int:
    """How many jobs are still to come, as far as that is known."""
    return max(0, (sweep.total or 0) - len(sweep.jobs))


def _findings(sweep: Sweep, known: Sequence[Row]) -> list[Finding]:
    apart, found = groups(known), []
    limits = dict.fromkeys(report.limits for report in sweep.reports.values())
    for group in apart:
        for asked in limits:
            judged = [(row.result, row.report) for row in group]
            decided = verdict.over(judged, asked)
            named = decided.choice
            row = next(row for row in group if row.result is named)
            what, why = verdict.explain(decided, replace(row.report, limits=asked), row.added)
            what = f"{verdict.beaten_by(decided.best, row.report)}{what}"
            where = _where(group, apart) + ([verdict.format_limits(asked) or "no limits"] if len(limits) > 1 else [])
            parts = f"{', '.join(where)}: {what}" if where else what, why
            found.append(Finding(asked, decided, row, parts, of_choice(judged, asked)))
    return found


def _where(group: list[Row], apart: list[list[Row]]) -> list[str]:
    """What sets a group apart from the others."""
    if len(apart) == 1:
        return []
    made = group[0].report.provenance
    threads = {other[0].report.provenance.threads for other in apart}
    metrics = {other[0].report.provenance.metric for other in apart}
    images = {other[0].report.provenance.accuracy_on for other in apart}
    same_data = len({other[0].report.provenance.data for other in apart}) == 1
    on = [made.accuracy_on.described] if made.accuracy_on and same_data and len(images) > 1 else []
    return [
        made.data,
        *on,
        *([f"threads={made.threads}"] if len(threads) > 1 else []),
        *([made.metric] if len(metrics) > 1 else []),
    ]
