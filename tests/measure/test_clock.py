"""The clock: lengths of visits, percentiles, ratios, and processes that end when they should."""

import os
import sys
from functools import partial
from multiprocessing import active_children

import numpy as np
import psutil
import pytest

from helpers.hangs import ends
from helpers.messages import says
from optimize.measure import clock
from optimize.measure.clock import Opened, Stopped

OWN_PROCESS, LENGTH = clock.worker, clock.length  # conftest puts others in their place


@pytest.mark.parametrize(
    ("milliseconds", "visit"),
    [
        (1.0, (10, 20)),
        (20e3 / 30 / 30, (10, 20)),  # 30 visits of 30 calls in 20 seconds
        (44.44, (5, 10)),
        (200.0, (1, 2)),
        (5000.0, (1, 1)),  # shorter, never fewer
    ],
)
def test_visits_of_slow_files_are_shorter(milliseconds, visit):
    assert LENGTH(milliseconds, 30) == visit


@pytest.mark.parametrize(("share", "enough"), [(0.9, 44), (0.99, 459)])
def test_percentiles_need_calls_beyond_them(share, enough):
    times = np.arange(enough, dtype=float)
    assert clock.percentile(times, share) == np.percentile(times, 100 * share)
    assert clock.percentile(times[1:], share) is None
    assert share**enough <= 0.01 < share ** (enough - 1)  # that all calls lie below it


def test_ratios_are_those_of_visits_in_one_round():
    times, others = np.array([[1.0, 2, 9], [4, 4, 4], [8, 8, 8]]), np.array([[1.0, 1, 1], [1, 2, 3], [8, 1, 8]])
    assert clock.ratios(times, others) == (1.5, 2.0, 2.0)


def test_warm_up_goes_on_until_the_times_are_steady(monkeypatch):
    now, calls = [0.0], []
    monkeypatch.setattr(clock, "perf_counter", lambda: now[0])

    def call(timed: bool) -> None:
        calls.append(timed)
        now[0] += max(10, 100 - 4 * len(calls)) / 1e3

    assert clock.warm_up(call) == pytest.approx(10)
    assert 25 <= len(calls) < clock.MOST_WARM_UP
    assert not any(calls)  # a profiler records none of them


def test_warm_up_ends_after_some_seconds(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(clock, "perf_counter", lambda: now[0])

    def call(timed: bool) -> None:
        now[0] += 2 if now[0] else 4

    clock.warm_up(call)
    assert now[0] == 4 + 4 * 2


def test_every_file_is_visited_once_in_every_round():
    visits = []

    class Worker:
        def __init__(self, name: str):
            self.name = name

        def visit(self, warm: int, timed: int) -> list[float]:
            visits.append((self.name, warm, timed))
            return [1.0] * timed

    times = clock.in_turns([Worker("a"), Worker("b")], [(1, 2), (3, 4)], range(6), seed=0)
    assert [found.shape for found in times] == [(6, 2), (6, 4)]
    rounds = [visits[i : i + 2] for i in range(0, 12, 2)]
    assert all(sorted(one) == [("a", 1, 2), ("b", 3, 4)] for one in rounds)
    assert len({tuple(one) for one in rounds}) == 2  # in both orders


def count(calls: list, wrong: str = "") -> Opened:
    if wrong == "open":
        raise ValueError("no such file")
    if wrong == "exit":
        sys.exit("error: nothing to open")

    def call(timed: bool) -> None:
        calls.append(timed)
        if wrong == "call" and timed:
            raise RuntimeError("it broke")
        if wrong == "die":
            os._exit(7)

    return Opened(call, lambda: (os.getpid(), calls.count(True)))


@pytest.mark.command
def test_files_are_open_in_processes_that_end_with_the_context():
    with ends(), OWN_PROCESS(partial(count, [])) as first, OWN_PROCESS(partial(count, [])) as second:
        assert len(first.visit(2, 3)) == 3
        (one, timed), (two, none) = first.finish(), second.finish()
    assert (timed, none) == (3, 0)
    assert len({one, two, os.getpid()}) == 3
    assert not any(map(psutil.pid_exists, (one, two)))


@pytest.mark.command
def test_a_process_that_is_killed_while_it_sleeps_is_told():
    before = {*active_children()}
    with ends(), pytest.raises(Stopped) as error, OWN_PROCESS(partial(count, []), 5) as worker:
        (child,) = {*active_children()} - before  # psutil's would have multiprocessing's resource tracker among them
        child.kill()
        child.join()
        worker.visit(1, 1)
    assert says(error.value.reason, "its process ended with exit code")
    assert error.value.index == 5


@pytest.mark.command
@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ("open", "no such file"),
        ("exit", "error: nothing to open"),
        ("call", "it broke"),
        ("die", "its process ended with exit code 7"),
    ],
)
def test_a_file_that_fails_is_told_with_its_number(wrong, reason):
    with ends(), pytest.raises(Stopped) as error, OWN_PROCESS(partial(count, [], wrong), 5) as worker:
        worker.visit(4, 1)
    assert (error.value.reason, error.value.index) == (reason, 5)
