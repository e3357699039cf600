"""What the sentences of the report share: names for people, and what is too little to speak of."""

from optimize.measure.latency import ALIKE
from optimize.result import Report, Result


def called(result: Result) -> str:
    """E.g. `pruned+int8 on OpenVINO`."""
    return f"{result.variant.name} on {result.runtime.title}"


def model(result: Result) -> str:
    """What was done to the model, without its precision: `original`, `pruned`, a rival's name."""
    return "+".join(result.variant.model) or "original"


def nothing(report: Report) -> float:
    """The share below which a difference of times means nothing here."""
    if report.noise is None or report.noise_spread is None:
        return ALIKE
    return max(ALIKE, 2 * report.noise, report.noise_spread)


def original(report: Report, runtime: str) -> Result | None:
    """The original in float32 in a runtime, with which all rows of that runtime are timed; None where it failed."""
    there = (r for r in report.results if (r.variant.runtime, r.variant.name) == (runtime, "original") and r.latency)
    return next(there, None)


def points(result: Result, report: Report) -> float:
    """Points (0.01) of the main metric that a row gains over the original in torch; negative where it loses."""
    gained = 100 * (result.accuracy.score - report.results[0].accuracy.score)
    return round(gained, 9)  # what a float's last bit adds must not miss a limit that is just met


def change(value: float, unit: str = "") -> str:
    """A signed number with one decimal."""
    return f"{value:+.1f}{unit}" if round(value, 1) else f"0.0{unit}"
