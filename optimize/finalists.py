"""With `val_images`, every row is validated on a part of the images; those that may be deployed then on all of them."""

import logging
from dataclasses import replace

from optimize.failures import record_failure
from optimize.judge import Judge
from optimize.result import Report, Result
from optimize.verdict.plain import ERRORS
from optimize.verdict.rivals import compared, is_made
from optimize.verdict.verdict import decide

log = logging.getLogger(__name__)


def on_all_images(report: Report, judge: Judge) -> Report:
    """`report` with the accuracies of the finalists on all images; itself where every row was validated on all."""
    if judge.data.whole is None:
        return report
    chosen, rows, failures = finalists(report), list(report.results), list(report.failures)
    log.info("validating %d of %d rows on %s", len(chosen), len(rows), judge.data.whole.record.described)
    for i, row in enumerate(rows):
        if row in chosen:
            with record_failure(failures, row.variant.name, row.variant.runtime):
                rows[i] = replace(row, whole=judge.whole_score(row.variant))
    return replace(report, results=tuple(rows), failures=tuple(failures))


def finalists(report: Report) -> list[Result]:
    """The original in torch, and the rows that may be the one to deploy when all images have been seen.

    These are the row that the verdict takes of the part, those whose accuracy differs from it by at most two standard
    errors, and the rivals that beat it.
    """
    best = decide(report).choice
    if best is None:
        return [report.results[0]]
    beating = [one.rival for one in compared(best, report) if one.beats] if is_made(best) and best.latency else []
    alike = [row for row in report.results if _is_alike(row, best)]
    return [row for row in report.results if row in (report.results[0], *alike, *beating)]


def _is_alike(row: Result, best: Result) -> bool:
    error = row.accuracy.error_of_difference(best.accuracy) or 0
    return abs(row.accuracy.score - best.accuracy.score) <= ERRORS * error
