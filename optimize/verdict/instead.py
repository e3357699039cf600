"""Where int8 is not worth taking: the same model in 16 bits is faster, and no less accurate."""

from optimize.result import Report, Result
from optimize.verdict.plain import ERRORS
from optimize.verdict.rivals import Comparison, beside

HALF = 2  # bytes of a weight in bf16 and fp16


def faster_halves(report: Report) -> list[Comparison]:
    """Each timed int8 row beside the fastest row of its model in 16 bits, where that is to be taken instead.

    It is where its time is shorter by more than the noise, and its accuracy, over the same images, not lower by more
    than two standard errors of the difference; where these are not known, where it is not lower at all.
    """
    pairs = [
        [beside(row, half, report) for half, _ in report.timed if _is_half_of(half, row)]
        for row, _ in report.timed
        if row.precision.integer
    ]
    found = [[pair for pair in of_row if _is_better(pair)] for of_row in pairs]
    return [max(better, key=lambda pair: pair.faster) for better in found if better]


def _is_half_of(other: Result, row: Result) -> bool:
    """Whether `other` is the same model in 16 bits; a model that was trained for int8 has none of its own."""
    model = tuple(tag for tag in row.variant.model if tag != "qat")
    same = other.variant.model == model and other.variant.runtime == row.variant.runtime
    return same and other.precision.bytes == HALF and other.variant.imgsz == row.variant.imgsz


def _is_better(pair: Comparison) -> bool:
    return pair.faster > 1 + pair.noise and pair.gain >= -ERRORS * (pair.error or 0)
