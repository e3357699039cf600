"""A device that keeps its speed, and one that does not, with made-up times."""

import pytest

from optimize.measure.sustained import describe, slow_from, sustain


class Worker:
    """Calls take 10 ms for two minutes, then 13."""

    milliseconds = 10.0

    def __init__(self):
        self.time = 0.0

    def now(self) -> float:
        return self.time

    def visit(self, warm: int, timed: int) -> list[float]:
        assert warm == 0 and timed == 100
        milliseconds = 10.0 if self.time < 120 else 13.0
        self.time += timed * milliseconds / 1e3
        return [milliseconds] * timed


def windows(*medians: float) -> list[dict]:
    return [
        {"seconds": 10.0 * (i + 1), "median_ms": median, "clock_mhz": None, "temperature_c": None}
        for i, median in enumerate(medians)
    ]


def test_a_speed_that_falls_is_said_with_its_minute():
    worker = Worker()
    clocks = iter([1500.0] * 12 + [1200.0] * 12)
    seen = sustain(worker, 4, lambda: (next(clocks), 60.5), worker.now)
    assert len(seen) == 24 and all(one["temperature_c"] == 60.5 for one in seen)
    assert [one["median_ms"] for one in seen] == [10.0] * 12 + [13.0] * 12
    assert slow_from(seen) == 12
    assert describe(seen).startswith("slower from minute 2.0 of 4.")
    assert describe(seen).endswith(": 10.00 ms at first, 13.00 at the end, clock 1500 and 1200 MHz, 60 and 60 °C")


@pytest.mark.parametrize(
    ("medians", "place"),
    [
        ((10, 10, 10, 10), None),
        ((10, 10, 10, 10.4, 10.5), None),  # 5 % more is still the same
        ((10, 10, 10, 12, 10, 10), None),  # it came back
        ((10, 10, 10, 12, 12), 3),
        ((10, 10, 10, 12, 10, 11), None),  # one window may be a disturbance
        ((10, 20, 20, 20, 20, 20), 1),
        ((12, 10, 10, 10), None),  # slow at first
    ],
)
def test_slower_is_what_stays_slower(medians, place):
    assert slow_from(windows(*medians)) == place


def test_one_window_tells_nothing():
    assert describe(windows(10)).startswith("0.2 minutes are too short to tell whether it keeps its speed: 10.00 ms")


def test_a_kept_speed_is_said_without_what_the_system_does_not_tell():
    assert describe(windows(10, 10, 10.2)) == "kept its speed for 0.5 minutes: 10.00 ms at first, 10.20 at the end"
