"""The report of what was measured until something ended a run that was no mistake of the user's."""

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
    """Keep what the block gives; if it ends by an error, the last report given is written into `folder`.

    Its rows are those that were measured, and it says why there are no more.
    """
    known: list[Report] = []
    try:
        yield known.append
    except OptimizeError:
        raise
    except BaseException as error:
        if known:
            _write(known[-1], error, folder)
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
