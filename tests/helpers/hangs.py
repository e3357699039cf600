"""What a test that would never end ends by; how long one takes is asserted nowhere."""

import faulthandler
import sys
from collections.abc import Iterator
from contextlib import contextmanager

SECONDS = 60  # many times what any of them takes, also on a busy machine


@contextmanager
def ends(seconds: float = SECONDS) -> Iterator[None]:
    """End the process with its traceback where the work inside goes on for longer."""
    faulthandler.dump_traceback_later(seconds, exit=True, file=sys.__stderr__)
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()
