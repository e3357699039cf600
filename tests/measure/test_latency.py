"""The benchmark's arithmetic on made-up times; real timing is no test."""

import numpy as np
import pytest

from optimize.input_size import square
from optimize.measure import latency
from optimize.variant import Variant


class Session:
    arithmetic, int8_ops, device = "int8+fp32", 7, "gpu"

    def __init__(self, clock, milliseconds):
        self.clock, self.milliseconds = clock, milliseconds

    def __call__(self, images):
        assert images.dtype == np.float32
        self.clock.now += self.milliseconds / 1e3


class Clock:
    now = 0.0


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(latency, "perf_counter", lambda: clock.now)
    return clock


def subjects(clock, *given):
    return [
        (lambda variant, threads, ms=ms: Session(clock, ms), Variant(None, runtime, "fp32", square(32), tags=tags))
        for runtime, tags, ms in given
    ]


def test_each_row_is_paired_with_the_original_of_its_own_runtime(clock):
    rows = (("torch", (), 40.0), ("openvino", (), 10.0), ("openvino", ("int8",), 4.0), ("torch", ("pruned",), 20.0))
    timing = latency._measure(subjects(clock, *rows), threads=2, rounds=12, seed=0)
    assert [round(t.median_ms, 6) for t in timing.latencies] == [40, 10, 4, 20]
    assert [round(t.speedup, 6) for t in timing.latencies] == [1, 1, 2.5, 2]
    assert all(t.runs == 12 * latency.CALLS and t.threads == 2 and t.batch == 1 for t in timing.latencies)
    assert {(t.arithmetic, t.int8_ops, t.device) for t in timing.latencies} == {("int8+fp32", 7, "gpu")}
    assert timing.noise == pytest.approx(0, abs=1e-9)
    assert timing.rounds == 12


def test_warm_up_goes_on_until_the_times_are_steady(clock):
    class Warming(Session):
        calls = 0

        def __call__(self, images):
            Warming.calls += 1
            self.milliseconds = max(10, 100 - 4 * Warming.calls)
            super().__call__(images)

    latency._warm_up(Warming(clock, 0), np.zeros((1, 3, 32, 32), np.float32))
    assert 25 <= Warming.calls <= latency.MOST_WARM_UP
    Warming.calls = 0
    latency._warm_up(Session(clock, 5), np.zeros((1, 3, 32, 32), np.float32))
