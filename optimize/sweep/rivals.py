"""Rivals at equal time in a sweep: beside the best of all jobs, the original at inputs that take about as long."""

import logging
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from omegaconf import OmegaConf

from optimize.equal_time import missing_rows, placed, search_judge, target
from optimize.failures import record_failure
from optimize.pipeline import measure_subject
from optimize.prepare import prepare
from optimize.provenance import Comparable
from optimize.result import Failure, Report, Result
from optimize.store.held import noting
from optimize.sweep.timing import timed
from optimize.verdict import verdict
from optimize.verdict.plain import original
from optimize.verdict.rivals import made
from optimize.yolo.checkpoint import trusted

log = logging.getLogger(__name__)


def with_rivals(reports: dict[int, Report], folder: Path) -> dict[int, Report]:
    """`reports`, timed and by the job's number, with these rivals in those of the jobs that hold the best rows.

    Args:
        reports: of the jobs.
        folder: of the sweep; the folders of its jobs note what of the store they use.
    """
    added = dict(reports)
    for number, rows in best_rows(reports).items():
        if reports[number].provenance.config.get("rivals") not in (None, "none"):
            with noting(folder / str(number)):
                added[number] = _added(reports[number], rows)
    return added


def best_rows(reports: dict[int, Report]) -> dict[int, list[Result]]:
    """By job its rows that are the fastest made in a runtime, or that the verdict takes, of all comparable jobs."""
    alike = defaultdict[Comparable, list[tuple[int, Result]]](list)
    for number, report in reports.items():
        alike[report.provenance.comparable] += [(number, row) for row in made(report)]
    found = defaultdict[int, list[Result]](list)
    for group in alike.values():
        runtimes = dict.fromkeys(row.variant.runtime for _, row in group)
        wanted = [min((row for _, row in group if row.variant.runtime == name), key=_time) for name in runtimes]
        for asked in dict.fromkeys(reports[number].limits for number, _ in group):
            taken = verdict.over([(row, reports[number]) for number, row in group], asked).choice
            wanted += [taken] if taken else []
        for number, row in group:
            if any(row is one for one in wanted):
                found[number].append(row)
    return dict(found)


def _added(report: Report, rows: Sequence[Result]) -> Report:
    """`report` with the rivals of `rows`, which are timed together with them and their originals.

    Their times are brought to the speed that the machine had when the sweep was timed, by the original of the runtime.
    """
    config, failures, new = report.provenance.config, list[Failure](), list[Result]()
    with trusted(config["trust"]), record_failure(failures, "rivals at equal time", "the sweep"):
        here = {"device": None}  # this machine times; another one may have trained
        plan = prepare(OmegaConf.create(config | here))
        for row in rows:
            if (sought := target(row, report)) is not None:
                log.info("looking for the smaller inputs that take as long as %s", row.variant.name)
                measure = partial(measure_subject, plan.judge, folder=None)
                new += missing_rows(sought, plan, search_judge(plan), measure, (*report.results, *new))
        if new:
            originals = [row for row in report.results if row.variant.name == "original"]
            (again,) = timed([replace(report, results=(*originals, *rows, *new))], with_frames=True)
            failures += again.failures[len(report.failures) :]
            for row in again.results[-len(new) :]:
                report = replace(report, results=placed(report.results, _at_speed(row, again, report)))
    return replace(report, failures=(*report.failures, *failures))


def _at_speed(row: Result, now: Report, then: Report) -> Result:
    """`row`, timed `now`, with the times that it takes at the speed that its original had `then`."""
    own, before = (original(report, row.variant.runtime) for report in (now, then))
    if row.latency is None or own is None or before is None:
        return replace(row, latency=None, frame=None)
    factor = before.time.median_ms / own.time.median_ms
    return replace(row, latency=row.latency.scaled(factor), frame=row.frame.scaled(factor) if row.frame else None)


def _time(row: Result) -> float:
    return row.time.median_ms
