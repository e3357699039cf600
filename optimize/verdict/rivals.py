"""What was made, held against its rivals in the same runtime: who is faster, who is more accurate, and by how much."""

from dataclasses import dataclass

from optimize.result import Report, Result
from optimize.verdict.plain import ERRORS, nothing


@dataclass(frozen=True)
class Comparison:
    """A rival beside a row of an optimized model.

    Attributes:
        row: of the optimized model.
        rival: of the same runtime.
        faster: time of the row divided by that of the rival, by their paired ratios to the same original.
        gain: percentage points of the main metric that the rival is more accurate; negative where it is less.
        error: standard error of `gain`, in points, over the images that both were validated on; None where not known.
        noise: the relative difference of two latencies that means nothing in this report.
    """

    row: Result
    rival: Result
    faster: float
    gain: float
    error: float | None
    noise: float

    @property
    def beats(self) -> bool:
        """Whether the rival is not slower and more accurate, or faster and not less accurate, each beyond its noise."""
        if self.error is None:
            return False
        margin = ERRORS * self.error
        not_slower, faster = self.faster >= 1 / (1 + self.noise), self.faster > 1 + self.noise
        return (not_slower and self.gain > margin) or (faster and self.gain >= -margin)


def is_made(row: Result) -> bool:
    """Whether it is of a model that was changed, or quantized to integers; bf16 and fp16 alone change no weights."""
    return not row.rival and (bool(row.variant.model) or row.precision.integer)


def made(report: Report) -> list[Result]:
    """The timed rows of what was made, in the runtimes that are deployed."""
    return [row for row, _ in report.timed if is_made(row) and row.variant.runtime != "torch"]


def compared(row: Result, report: Report) -> list[Comparison]:
    """`row` beside each timed rival of its runtime."""
    rivals = [other for other, _ in report.timed if other.rival and other.variant.runtime == row.variant.runtime]
    return [beside(row, rival, report) for rival in rivals]


def beaten(row: Result, report: Report) -> Comparison | None:
    """The most accurate rival that beats `row`; None where none does, or the row was not timed."""
    ahead = [comparison for comparison in compared(row, report) if comparison.beats] if row.latency else []
    return max(ahead, key=lambda comparison: comparison.gain, default=None)


def beside(row: Result, rival: Result, report: Report) -> Comparison:
    """Two timed rows of one runtime."""
    error = rival.accuracy.error_of_difference(row.accuracy)
    return Comparison(
        row=row,
        rival=rival,
        faster=_speedup(rival) / _speedup(row),
        gain=100 * (rival.accuracy.score - row.accuracy.score),
        error=None if error is None else 100 * error,
        noise=nothing(report),
    )


def _speedup(row: Result) -> float:
    return row.time.speedup
