"""What two reports of the same work have in common: figures that must be equal, and times that must agree."""

from collections.abc import Iterator
from dataclasses import dataclass

from optimize.measure.accuracy import Accuracy
from optimize.result import Report, Result
from optimize.verdict.plain import called, nothing

Name = tuple[str, str, str]  # of a row: variant, runtime, precision
Quartiles = tuple[float, float, float]  # the lower one, the median, the upper one


@dataclass(frozen=True)
class Repeated:
    """A row of the first report and the same row of the second.

    Attributes:
        old, new: the rows; `new` is None where the second report lacks it.
        noise: the relative difference of two times or speed-ups that means nothing in these reports.
    """

    old: Result
    new: Result | None
    noise: float

    @property
    def differences(self) -> list[str]:
        """What is not reproduced, a part of a sentence each."""
        if self.new is None:
            return [] if self.old.rival else ["it is missing"]  # which inputs take as long is found by timing
        old, new = self.old, self.new
        pairs = (
            ("FLOPs", f"{old.flops}", f"{new.flops}"),
            (old.accuracy.metric, f"{old.accuracy.score:.6f}", f"{new.accuracy.score:.6f}"),
            (f"{old.accuracy.metric} on all images", _score(old.whole), _score(new.whole)),
            ("SHA-256", old.sha256[:12], new.sha256[:12]),
        )
        found = [f"{name} {before} became {after}" for name, before, after in pairs if before != after]
        return [*found, *self._time()]

    @property
    def time_differs(self) -> bool:
        """Whether it was timed again, and took another time."""
        return self.new is not None and self.new.latency is not None and any(self._time())

    def _time(self) -> Iterator[str]:
        """A time differs where neither the speed-up nor the milliseconds agree.

        Another load on a shared machine can slow the original down and not this row, or all rows alike; then one of
        both moves. A file that takes another time than it took moves both.
        """
        old, new = self.old.latency, self.new.latency if self.new else None
        if old is None or new is None:
            if old is not None:
                yield "it was not timed again"
            return
        speeds = [(time.speedup_low, time.speedup, time.speedup_high) for time in (old, new)]
        times = [(time.q1_ms, time.median_ms, time.q3_ms) for time in (old, new)]
        if self._differ(*speeds) and self._differ(*times):
            yield (
                f"speed-up {old.speedup:.2f}x became {new.speedup:.2f}x, and {old.median_ms:.4g} ms became "
                f"{new.median_ms:.4g} ms, both more than the noise of {self.noise:.0%}"
            )

    def _differ(self, then: Quartiles, now: Quartiles) -> bool:
        """Whether the quartiles of both have no common part, and the medians differ by more than the noise."""
        apart = then[2] < now[0] or now[2] < then[0]
        return apart and abs(now[1] / then[1] - 1) > self.noise


def repeated(old: Report, new: Report) -> list[Repeated]:
    """Each row of `old` beside the row of `new` of the same variant, runtime and precision."""
    rows = {_name(row): row for row in new.results}
    noise = max(nothing(old), nothing(new))
    return [Repeated(row, rows.get(_name(row)), noise) for row in old.results]


def differences(rows: list[Repeated]) -> list[str]:
    """A sentence for each row that is not reproduced."""
    return [f"{called(one.old)}: {', '.join(one.differences)}." for one in rows if one.differences]


def _score(accuracy: Accuracy | None) -> str:
    return "not measured" if accuracy is None else f"{accuracy.score:.6f}"


def _name(row: Result) -> Name:
    return row.variant.name, row.variant.runtime, row.variant.precision
