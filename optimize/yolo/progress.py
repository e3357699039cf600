"""Where ultralytics' progress goes."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def stdout_to_stderr() -> Iterator[None]:
    """Send everything that is printed inside to stderr, since stdout belongs to our report.

    Ultralytics logs and draws its bars on stdout, and so do the workers that it starts for several GPUs; only the
    file descriptor catches all of them.
    """
    sys.stdout.flush()
    stdout = os.dup(1)
    os.dup2(2, 1)
    try:
        yield
    finally:
        sys.stdout.flush()
        os.dup2(stdout, 1)
        os.close(stdout)
