"""Whether one file is slower, on made-up times of visits; real timing is no test."""

import numpy as np
import pytest

from optimize.input_size import square
from optimize.measure import slowdown
from optimize.measure.slowdown import LEAST, OPENED, ROUNDS, compared
from optimize.variant import Variant


def visits(random, slower: float, opened=OPENED, between=0.006, within=0.02):
    """Times of two files: processes of one file differ by `between`, rounds by `within`, and the clock drifts."""
    drift = np.exp(random.normal(0, 0.2, ROUNDS))
    made = [
        factor * np.exp(random.normal(0, between, (opened, 1)) + random.normal(0, within, (opened, ROUNDS))) * drift
        for factor in (1.0, 1 + slower)
    ]
    return made[0], made[1]


def test_exact_times_give_the_exact_share():
    old = np.full((2, 3), 10.0)
    found = compared(old, 1.05 * old)
    assert (found.old_ms, found.new_ms) == (10.0, 10.5)
    assert found.share == pytest.approx(0.05)
    assert found.at_least == pytest.approx(0.05)
    assert found.slower
    assert not compared(old, old).slower
    assert not compared(1.05 * old, old).slower


def test_drift_of_the_clock_that_all_see_changes_nothing():
    random = np.random.default_rng(0)
    old, new = visits(random, 0.05)
    drift = np.exp(random.normal(0, 0.5, ROUNDS))
    before, after = compared(old, new), compared(old * drift, new * drift)
    assert (after.share, after.at_least) == pytest.approx((before.share, before.at_least))


def test_two_processes_of_one_file_that_differ_are_no_slow_down():
    """One of two processes has its memory in a bad place: every round of it takes 8 % longer."""
    old, new = visits(np.random.default_rng(2), 0.0, opened=2, between=0.001)
    found = compared(old, new * np.array([[1.0], [1.08]]))
    assert found.share > LEAST
    assert found.at_least < 0
    assert not found.slower


@pytest.mark.parametrize(("slower", "least", "most"), [(0.0, 0, 4), (0.015, 0, 100), (0.05, 380, 400)])
def test_a_slow_down_of_five_percent_is_found_and_none_is_seen_where_there_is_none(slower, least, most):
    random = np.random.default_rng(1)
    assert least <= sum(compared(*visits(random, slower)).slower for _ in range(400)) <= most


def test_less_than_what_matters_is_never_told():
    old = np.full((2, 3), 10.0)
    assert not compared(old, (1 + 0.99 * LEAST) * old).slower
    assert compared(old, (1 + 1.01 * LEAST) * old).slower


def test_both_are_opened_as_often_as_memory_allows(monkeypatch):
    calls = []

    def subject(name):
        def open_(variant, threads):
            calls.append((name, threads))
            return lambda image: None

        return open_, Variant(None, "torch", "fp32", square(32))

    free = [100]
    monkeypatch.setattr(slowdown, "free_memory", lambda: free[0])
    for left, opened in ((100, 3), (49, 2)):  # more than half is free, and less, with at least two of each
        calls.clear()
        free[:] = [100]

        def worker(opener, index, left=left, real=slowdown.clock.worker):
            free[:] = [left]
            return real(opener, index)

        with monkeypatch.context() as patch:
            patch.setattr(slowdown.clock, "worker", worker)
            old, new = slowdown.times(subject("old"), subject("new"), threads=7, seed=0, rounds=4, opened=3)
        assert old.shape == new.shape == (opened, 4)
        assert calls == [("old", 7), ("new", 7)] * opened
