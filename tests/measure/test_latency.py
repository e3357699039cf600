"""The benchmark's arithmetic on made-up times; real timing is no test."""

import numpy as np
import pytest

from helpers.messages import says
from optimize.input_size import square
from optimize.measure import clock, groups, latency
from optimize.measure.latency import Untimed
from optimize.variant import Variant

LENGTH = clock.length  # conftest puts another one in its place


class Session:
    arithmetic, int8_ops, device = "int8+fp32", 7, "gpu"

    def __init__(self, now, milliseconds):
        self.now, self.milliseconds = now, milliseconds

    def __call__(self, images):
        assert images.dtype == np.float32
        self.now[0] += self.milliseconds / 1e3


@pytest.fixture
def now(monkeypatch):
    """The time that the clock reads, in seconds."""
    now = [0.0]
    monkeypatch.setattr(clock, "perf_counter", lambda: now[0])
    return now


def subjects(now, *given):
    return [
        (lambda variant, threads, ms=ms: Session(now, ms), Variant(None, runtime, "fp32", square(32), tags=tags))
        for runtime, tags, ms in given
    ]


ROWS = (("torch", (), 40.0), ("openvino", (), 10.0), ("openvino", ("int8",), 4.0), ("torch", ("pruned",), 20.0))


def test_each_row_is_paired_with_the_original_of_its_own_runtime(now, monkeypatch):
    monkeypatch.setattr(clock, "length", LENGTH)
    timing = latency.measure(subjects(now, *ROWS), threads=2, rounds=12, seed=0)
    assert [round(t.median_ms, 6) for t in timing.latencies] == [40, 10, 4, 20]
    assert [round(t.speedup, 6) for t in timing.latencies] == [1, 1, 2.5, 2]
    assert all(t.runs == 12 * clock.TIMED and t.threads == 2 and t.batch == 1 for t in timing.latencies)
    assert {(t.arithmetic, t.int8_ops, t.device) for t in timing.latencies} == {("int8+fp32", 7, "gpu")}
    assert timing.noise == pytest.approx(0, abs=1e-9)
    assert timing.rounds == 12


def test_medians_agree_with_the_paired_ratios_on_a_machine_that_is_now_fast_and_now_slow():
    """Half of the rounds are slow; in two the machine changes between the visits, so that raw medians contradict."""
    slow = np.array([1.5] * 14 + [1.0] * 14 + [1.0] * 2)
    other_slow = np.array([1.5] * 14 + [1.0] * 14 + [1.5] * 2)
    first, second = (np.repeat(ms * state[:, None], 3, axis=1) for ms, state in ((10.0, slow), (9.0, other_slow)))
    assert np.median(first) < np.median(second)
    assert clock.ratios(first, second)[1] == pytest.approx(10 / 9)
    one, other = latency.at_one_speed([first, second])
    assert np.median(one) / np.median(other) == pytest.approx(10 / 9)
    assert clock.ratios(one, other) == pytest.approx(clock.ratios(first, second))
    assert 9.0 < np.median(other) < 13.5
    same = [np.full((12, 3), 7.0), np.full((12, 3), 5.0)]
    np.testing.assert_allclose(latency.at_one_speed(same), same)


def test_what_memory_does_not_hold_at_once_is_timed_in_groups_with_its_originals(now, monkeypatch):
    free = iter([100, 100, 49, *[100] * 3, 100])  # before the first group, and before each further member
    monkeypatch.setattr(groups, "free_memory", lambda: next(free))
    together = []
    in_turns = clock.in_turns
    monkeypatch.setattr(
        clock, "in_turns", lambda workers, *given: together.append(len(workers)) or in_turns(workers, *given)
    )
    timing = latency.measure(subjects(now, *ROWS), threads=2, rounds=12, seed=0)
    assert together == [2 + 1, 2 + 1]  # both rows of torch; both of OpenVINO; and each time the last row's twin
    assert [round(t.speedup, 6) for t in timing.latencies] == [1, 1, 2.5, 2]


def test_a_reference_of_another_group_is_timed_in_both(now, monkeypatch):
    rows = (("torch", (), 40.0), ("torch", ("a",), 20.0), ("torch", ("b",), 10.0))
    free = iter([100, 100, 49, 100])
    monkeypatch.setattr(groups, "free_memory", lambda: next(free))
    timing = latency.measure(subjects(now, *rows), threads=2, rounds=12, seed=0)
    assert [round(t.speedup, 6) for t in timing.latencies] == [1, 2, 4]


def test_the_row_that_fails_while_it_is_called_is_named(now):
    class Failing(Session):
        def __call__(self, images):
            super().__call__(images)
            if now[0] > 1:
                raise RuntimeError("the device is gone")

    (first, second, *_) = subjects(now, *ROWS)
    failing = (lambda variant, threads: Failing(now, 30.0), second[1])
    with pytest.raises(Untimed) as error:
        latency.measure([first, failing], threads=2, rounds=12, seed=0)
    assert error.value.index == 1
    assert says(str(error.value), "original on openvino can't be timed ... the device is gone")
