"""Turns the failure of one variant into a row of the report, so that the run goes on with the others."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from optimize.errors import NO_ROOM, OptimizeError, described
from optimize.result import Failure

log = logging.getLogger(__name__)


@contextmanager
def record_failure(failures: list[Failure], name: str, runtime: str) -> Iterator[None]:
    """Append an error that the block raises to `failures`; the traceback of an unexpected error goes to the log.

    A full disk ends the run, since no other variant could be written.
    """
    try:
        yield
    except OptimizeError as error:
        log.warning("%s on %s failed: %s", name, runtime, error)
        failures.append(Failure(name, runtime, str(error)))
    except Exception as error:
        if isinstance(error, OSError) and error.errno in NO_ROOM:
            raise
        log.exception("%s on %s failed", name, runtime)
        failures.append(Failure(name, runtime, described(error)))
