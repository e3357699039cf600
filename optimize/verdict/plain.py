"""What the sentences of the report share: names of rows for people, changes, and what counts as noise."""

from optimize.measure.latency import ALIKE
from optimize.result import Report, Result

ERRORS = 2  # standard errors; a smaller difference between two scores is noise


def called(result: Result) -> str:
    """E.g. `pruned+int8 on OpenVINO`."""
    return f"{result.variant.name} on {result.runtime.title}"


def model(result: Result) -> str:
    """The model's name without its precision: `original`, `pruned`, or the name of a rival."""
    return "+".join(result.variant.model) or "original"


def nothing(report: Report) -> float:
    """The relative difference of two latencies below which it is noise in this report."""
    if report.noise is None or report.noise_spread is None:
        return ALIKE
    return max(ALIKE, 2 * report.noise, report.noise_spread)


def original(report: Report, runtime: str) -> Result | None:
    """The timed row of the original in float32 in `runtime`, the reference of its speed-ups; None where it failed."""
    there = (r for r in report.results if (r.variant.runtime, r.variant.name) == (runtime, "original") and r.latency)
    return next(there, None)


def points(result: Result, report: Report) -> float:
    """Percentage points (0.01) of the main metric that a row gains over the original in torch; negative for a loss."""
    gained = 100 * (result.accuracy.score - report.results[0].accuracy.score)
    return round(gained, 9)  # a rounding error in the last bit must not turn a limit that is just met into a miss


def change(value: float, unit: str = "") -> str:
    """A signed number with one decimal."""
    return f"{value:+.1f}{unit}" if round(value, 1) else f"0.0{unit}"
