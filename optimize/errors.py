"""The errors that are shown to the user as one sentence.

OptimizeError
├── InputError            an input can't be used: a file, a value, a data set
├── TargetOutOfReach      pruning can't reach the requested FLOPs; the message says what it can
├── RuntimeUnavailable    a runtime is not installed, or its hardware is missing
├── MeasurementError      two measurements that must agree do not, so no number is given
├── LauncherFailed        the launcher of a sweep's jobs failed
├── VariantFailed         the report is written, but rows are missing
├── LimitMissed           the report is written, but no result meets a limit that was set; exit code 3
└── Differs               a figure is not what it was in an earlier run, or is worse; exit code 4

A message is one sentence: what was given, what is allowed, what to do. `cli.py` prints it without a traceback and exits
with `exit_code`.
"""

import errno
from collections.abc import Iterator
from contextlib import contextmanager

NO_ROOM = {  # errors of a full or read-only disk, which can occur at any moment, by errno
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EROFS: "the folder is read-only",
}
# Prefixes of the notes on an error that `sentences.py` adds to its sentence.
WHILE = "while "
REPORT = "the report of what was measured is "


class OptimizeError(Exception):
    """Base of all errors that are shown to the user as one sentence."""

    exit_code = 1

    def _render_traceback_(self) -> list[str]:
        """What a notebook shows of an error that nobody caught: the sentence, not our source."""
        return [f"{type(self).__name__}: {self}"]


class InputError(OptimizeError):
    """An input of the user can't be used."""


class TargetOutOfReach(OptimizeError):
    """The pruning target can't be met by this model.

    Attributes:
        most: the largest share that can be removed; None where it is not known.
    """

    def __init__(self, sentence: str, most: float | None = None):
        super().__init__(sentence)
        self.most = most


class RuntimeUnavailable(OptimizeError):
    """A runtime is not installed, or its hardware is missing."""


class MeasurementError(OptimizeError):
    """Two ways of measuring the same quantity disagree."""


class LauncherFailed(OptimizeError):
    """The launcher that starts the jobs of a sweep failed."""


class VariantFailed(OptimizeError):
    """A variant could not be made or measured."""


class LimitMissed(OptimizeError):
    """The best result misses a limit that the user set."""

    exit_code = 3


class Differs(OptimizeError):
    """A figure differs from that of an earlier run, or is worse."""

    exit_code = 4


@contextmanager
def during(work: str) -> Iterator[None]:
    """Note `work`, e.g. `validating pruned on torch`, on an error that ends the block; the innermost note counts."""
    try:
        yield
    except BaseException as error:
        error.add_note(f"{WHILE}{work}")
        raise


def described(error: BaseException) -> str:
    """The type and the first line of a library's error."""
    first = next(iter(str(error).strip().splitlines()), "")
    return f"{type(error).__name__}: {first}" if first else type(error).__name__
