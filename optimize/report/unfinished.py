"""Writes a report of what was measured so far when an unexpected error or Ctrl-C ends a run."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from optimize.errors import REPORT, OptimizeError, described
from optimize.report import put
from optimize.result import Report

log = logging.getLogger(__name__)


@contextmanager
def keeping(folder: Path) -> Iterator[Callable[[Report], None]]:
    """Yield a function that keeps a report; if an error ends the block, the last kept report is written into `folder`.

    That report holds the rows measured so far, and says why the others are missing.
    """
    reports: list[Report] = []
    try:
        yield reports.append
    except OptimizeError:
        raise
    except BaseException as error:
        if reports:
            _write(reports[-1], error, folder)
        raise


def _write(report: Report, error: BaseException, folder: Path) -> None:
    why = "it was stopped" if isinstance(error, KeyboardInterrupt) else described(error).rstrip(".")
    part = replace(report, unfinished=why)
    try:
        put(part, folder)
    except Exception:  # a full disk, or no memory
        log.exception("there is no report of what was measured")
    else:
        error.add_note(f"{REPORT}{folder / 'report.html'}")
