"""The end of a sweep, after the last job: times all variants together, and writes the summary."""

import logging
from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from platform import node

from optimize import tracking
from optimize.errors import LimitMissed, VariantFailed
from optimize.host.resources import cores
from optimize.output import publish
from optimize.provenance import host
from optimize.report import put
from optimize.result import Report
from optimize.store.manifest import finish
from optimize.sweep.alive import settle
from optimize.sweep.job import Job
from optimize.sweep.rivals import with_rivals
from optimize.sweep.summary import artefacts, page, table
from optimize.sweep.summary.summary import Summary, summarize
from optimize.sweep.sweep import read
from optimize.sweep.timing import timed

log = logging.getLogger(__name__)


def end(folder: Path, target: Path, lost: str | None = None) -> None:
    """Time all rows of all jobs of the sweep in `folder`, write each job's report and the summary, print the folder.

    Artefacts that are worth taking are copied to `folder`/artefacts.

    Args:
        folder: of the sweep.
        target: where it lies when it has ended without a failure; `folder`, unless it replaces a sweep there.
        lost: the error that its launcher failed with.

    Raises:
        VariantFailed: a job failed, or a row of one.
        LimitMissed: nothing that the sweep made meets the limits.
    """
    settle(folder)
    sweep = read(folder)
    here = {one.number: _here(sweep.reports[one.number], one) for one in sweep.jobs if one.number in sweep.reports}
    for number, report in with_rivals(_timed(here), folder).items():
        inside = folder / str(number)
        put(report, inside)
        finish(inside)
    sweep = read(folder)
    found = summarize(sweep)
    artefacts.hand_out(found.worth, folder)
    page.write(sweep, ended=True)
    table.show(sweep)
    asked = any(report.provenance.config.get("tracking") == "mlflow" for report in sweep.reports.values())
    untold = tracking.write_sweep(sweep) if asked else None
    whole = not _failures(found, lost, untold)
    if whole:
        finish(folder)
        publish(folder, target)
    print(target if whole else folder)
    _judge(found, lost, untold)


def _here(report: Report, one: Job) -> Report:
    """`report` as it is timed by this machine, whatever machine made it."""
    made = report.provenance
    threads = made.config["threads"] or cores()
    moved = (f"Made and validated on {one.host}, timed on {node()}.",) if one.host != node() else ()
    return replace(report, provenance=replace(made, threads=threads, host=host(), remarks=(*made.remarks, *moved)))


def _timed(reports: dict[int, Report]) -> dict[int, Report]:
    """By the job's number. Jobs that were set to be timed differently are timed apart."""
    alike: dict[tuple[int, int, int], list[int]] = defaultdict(list)
    done: dict[int, Report] = {}
    for number, report in reports.items():
        config = report.provenance.config
        alike[report.provenance.threads, config["rounds"], config["seed"]].append(number)
    for numbers in alike.values():
        own = [reports[number] for number in numbers]
        done |= zip(numbers, timed(own, with_frames=True), strict=True)
    return done


def _failures(found: Summary, lost: str | None, untold: str | None) -> list[str]:
    sweep = found.sweep
    failed = [lost] if lost else []
    if lost and sweep.total and (missing := sweep.total - len(sweep.jobs)):
        failed.append(f"{missing} of {sweep.total} jobs have not begun; the same command goes on with them.")
    failed += [
        f"job {one.number} ({' '.join(one.overrides)}) failed: {one.sentence}" for one in sweep.jobs if one.sentence
    ]
    failed += [
        f"job {number}: {row.name} on {row.runtime} failed: {row.sentence}"
        for number, report in sweep.reports.items()
        for row in report.failures
    ]
    return [*failed, *([untold] if untold else [])]


def _judge(found: Summary, lost: str | None, untold: str | None) -> None:
    if failed := _failures(found, lost, untold):
        raise VariantFailed(" ".join(failed))
    missed = list(dict.fromkeys(said for report in found.sweep.reports.values() for said in report.missed))
    if not any(finding.verdict.best for finding in found.findings):
        missed.append(found.headline)
    if missed:
        raise LimitMissed(" ".join(missed))
