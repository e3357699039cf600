"""Every error that a user can fix, as one tree.

OptimizeError
├── InputError            what was given can't be used: a file, a value, a data set
├── TargetOutOfReach      the FLOPs asked for can't be met; the message names what can
├── RuntimeUnavailable    a runtime that isn't installed, or lacks its hardware
├── MeasurementError      two measurements that must agree do not, so no number is given
├── LauncherFailed        what starts a sweep's jobs failed itself
├── VariantFailed         the report is written, but rows of it are missing
└── LimitMissed           the report is written, but what it shows misses a limit that was set; exit code 3

A message is one sentence: what was given, what is allowed, what to do. `cli.py` prints it without a traceback and exits
with `exit_code`.
"""

import errno
from collections.abc import Iterator
from contextlib import contextmanager

NO_ROOM = {  # what the machine can run out of at any moment, by errno
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EROFS: "the folder is read-only",
}
# How the notes on an error begin that its sentence takes up.
WHILE = "while "
REPORT = "the report of what was measured is "


class OptimizeError(Exception):
    """Base of all errors that are shown to the user as one sentence."""

    exit_code = 1


class InputError(OptimizeError):
    """What the user gave can't be used."""


class TargetOutOfReach(OptimizeError):
    """The pruning target can't be met by this model."""


class RuntimeUnavailable(OptimizeError):
    """A runtime is not installed, or its hardware is missing."""


class MeasurementError(OptimizeError):
    """Two ways of measuring one thing disagree."""


class LauncherFailed(OptimizeError):
    """What starts the jobs of a sweep failed itself."""


class VariantFailed(OptimizeError):
    """Some variant could not be made or measured."""


class LimitMissed(OptimizeError):
    """The best that could be reached misses a limit that the user set."""

    exit_code = 3


@contextmanager
def during(work: str) -> Iterator[None]:
    """Note on whatever ends the block what was being done, e.g. `validating pruned on torch`; the innermost counts."""
    try:
        yield
    except BaseException as error:
        error.add_note(f"{WHILE}{work}")
        raise


def described(error: BaseException) -> str:
    """An error of some library in one line."""
    first = next(iter(str(error).strip().splitlines()), "")
    return f"{type(error).__name__}: {first}" if first else type(error).__name__
