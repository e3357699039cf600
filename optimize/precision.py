"""What a file was made for: a record that the report shows and judges its rows by."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Precision:
    """One precision.

    Attributes:
        name: also the tag of its variants, e.g. `int8`.
        bytes: of a stored weight, e.g. 0.5 for 4 bits.
        computes: number formats that its rows may run in; any other is an alarm.
        requires: those of `computes` without which a row ran in another precision than asked for, which is an alarm.
        integer: whether its file asks for integer operations; then the share that ran as such is reported, and an
            alarm where it is small.
        fill: how full its marks are in a chart, from 0, an outline, to 1.
    """

    name: str
    bytes: float
    computes: tuple[str, ...]
    requires: tuple[str, ...] = ()
    integer: bool = False
    fill: float = 0.5


FP32 = Precision("fp32", bytes=4, computes=("fp32",), requires=("fp32",), fill=0.0)
