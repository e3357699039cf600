"""Every error that a user can mend, as one tree.

OptimizeError
├── InputError            what was given can't be used: a file, a value, a data set
├── TargetOutOfReach      the FLOPs asked for can't be met; the message names what can
├── RuntimeUnavailable    a runtime that isn't installed, or lacks its hardware
├── MeasurementError      two measurements that must agree do not, so no number is given
└── LimitMissed           the report is written, but what it shows misses a limit that was set; exit code 3

A message is one sentence: what was given, what is allowed, what to do. `cli.py` prints it without a traceback and exits
with `exit_code`.
"""


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


class LimitMissed(OptimizeError):
    """The best that could be reached misses a limit that the user set."""

    exit_code = 3
