"""What happens when no job runs any more: everything is timed together, and the summary is written."""

import logging
from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from time import time

from optimize import tracking
from optimize.errors import LimitMissed, VariantFailed
from optimize.prepare import runtimes
from optimize.report import draw, results, verdict
from optimize.result import Report
from optimize.sweep import job, page, summary
from optimize.sweep.job import RESULTS
from optimize.sweep.sweep import Sweep, jobs, read
from optimize.sweep.timing import timed
from optimize.yolo.checkpoint import trusted

log = logging.getLogger(__name__)

STOPPED = "it was stopped before it had ended; the same command goes on from there."


def end(folder: Path) -> None:
    """Time all rows of all jobs of the sweep in `folder`, write each job's report and the summary, print the folder.

    Raises:
        VariantFailed: a job failed, or a row of one.
        LimitMissed: nothing that the sweep made meets the limits.
    """
    for one in jobs(folder):
        if one.state == job.RUNNING:
            job.write(replace(one, state=job.FAILED, ended=time(), sentence=STOPPED), folder / str(one.number))
    sweep = read(folder)
    for number, report in _timed(sweep.reports).items():
        inside = folder / str(number)
        results.write(report, inside / RESULTS)
        draw(report, inside)
    sweep = read(folder)
    page.write(sweep)
    asked = any(report.provenance.config.get("tracking") == "mlflow" for report in sweep.reports.values())
    untold = tracking.write_sweep(sweep) if asked else None
    print(folder)
    _judge(sweep, untold)


def _timed(reports: dict[int, Report]) -> dict[int, Report]:
    """By the job's number. Jobs that were set to be timed differently are timed apart."""
    alike, done = defaultdict(list), {}
    for number, report in reports.items():
        config = report.provenance.config
        alike[report.provenance.threads, config["rounds"], config["seed"]].append(number)
    for numbers in alike.values():
        own = [reports[number] for number in numbers]
        configs = [report.provenance.config for report in own]
        every = {runtime.name: runtime for config in configs for runtime in runtimes(config)}
        with trusted(any(config["trust"] for config in configs)):
            done |= zip(numbers, timed(own, list(every.values())), strict=True)
    return done


def _judge(sweep: Sweep, untold: str | None) -> None:
    failed = [
        f"job {one.number} ({' '.join(one.overrides)}) failed: {one.sentence}" for one in sweep.jobs if one.sentence
    ]
    failed += [
        f"job {number}: {row.name} on {row.runtime} failed: {row.sentence}"
        for number, report in sweep.reports.items()
        for row in report.failures
    ]
    failed += [untold] if untold else []
    if failed:
        raise VariantFailed(" ".join(failed))
    if not any(verdict.decide(report).best for report in sweep.reports.values()):
        raise LimitMissed(summary.headline(sweep))
