"""A share of the time is aimed at again where it was missed, and what the clock can't tell is not guessed."""

from types import SimpleNamespace

import pytest

from optimize.errors import MeasurementError, TargetOutOfReach
from optimize.input_size import square
from optimize.pruner.latency import target
from optimize.pruner.latency.target import ATTEMPTS, CLOSE, aim, expected, stopwatch
from optimize.pruner.latency.timing import Timed, steady

WHOLE = 10.0  # predicted milliseconds of the original
QUIET = Timed(9.0, (0.5,), noise=0.01)


def chooser(most: float = 1.0):
    """Widths that the table says to take exactly the time that is asked for, up to a share of `most` removed."""

    def choose(share: float) -> SimpleNamespace:
        if share > most:
            raise TargetOutOfReach(f"at most {most}", most)
        return SimpleNamespace(left=WHOLE * (1 - share))

    return choose


def test_the_first_attempt_is_taken_where_the_table_is_right():
    found = aim(0.4, WHOLE, chooser(), lambda chosen: (chosen.left / WHOLE * 1.01, QUIET))
    assert (found.number, found.left) == (1, pytest.approx(0.606))


def test_a_table_that_is_wrong_by_a_factor_is_corrected_at_once():
    """Networks take 1.2 times as long as predicted: 0.5 of the time must be predicted for 0.6."""
    found = aim(0.4, WHOLE, chooser(), lambda chosen: (chosen.left / WHOLE * 1.2, QUIET))
    assert found.number == 2
    assert found.left == pytest.approx(0.6)
    assert found.chosen.left == pytest.approx(5.0)


def test_a_network_that_is_too_fast_is_followed_by_one_between_it_and_the_original():
    """A first small cut may gain more time than predicted; in proportion the next would cut nothing, and so on."""
    steps = {1.0: 1.0, 0.9: 0.82, 0.81: 0.65}  # predicted and timed shares

    def choose(share: float) -> SimpleNamespace:
        return SimpleNamespace(left=WHOLE * min(steps, key=lambda step: abs(step - (1 - share))))

    found = aim(0.19, WHOLE, choose, lambda chosen: (steps[round(chosen.left / WHOLE, 2)], QUIET))
    assert (found.number, found.left) == (2, 0.82)
    assert expected([(1.0, 1.0), (0.81, 0.65)], 0.81) == pytest.approx(0.81 + 0.19 * 16 / 35)
    assert expected([(1.0, 1.0), (0.6, 0.72), (0.4, 0.5)], 0.6) == pytest.approx(0.4 + 0.2 * 10 / 22)
    assert expected([(1.0, 1.0), (0.6, 0.72)], 0.6) == pytest.approx(0.5)

    timed = []
    found = aim(
        0.14, WHOLE, choose, lambda chosen: (timed.append(chosen.left) or steps[round(chosen.left / WHOLE, 2)], QUIET)
    )
    assert (found.left, timed) == (0.82, [9.0])  # nothing lies between 0.82 and 1, so no network is timed twice


def test_the_closest_attempt_is_taken_where_none_is_close():
    shares = iter((0.9, 0.7, 0.65, 0.8))
    found = aim(0.4, WHOLE, chooser(), lambda chosen: (next(shares), QUIET))
    assert (found.number, found.left) == (3, 0.65)
    assert ATTEMPTS == 4
    assert not list(shares)
    assert abs(0.65 / 0.6 - 1) > CLOSE


def test_a_share_that_only_the_table_holds_out_of_reach_is_timed():
    """Networks take 0.85 times as long as predicted, so 0.3 that the table allows is 0.405 by the clock."""
    found = aim(0.4, WHOLE, chooser(0.3), lambda chosen: (chosen.left / WHOLE * 0.85, QUIET))
    assert (found.number, found.left) == (1, pytest.approx(0.595))
    found = aim(0.35, WHOLE, chooser(0.3), lambda chosen: (chosen.left / WHOLE * 0.85, QUIET))
    assert (found.number, found.left) == (3, pytest.approx(0.6418, abs=1e-4))  # the narrowest loses too much


def test_a_share_that_the_narrowest_network_misses_is_refused_with_what_was_timed():
    with pytest.raises(TargetOutOfReach, match=r"prune=0\.4 .*timed and loses 0\.300 of the time") as refused:
        aim(0.4, WHOLE, chooser(0.3), lambda chosen: (chosen.left / WHOLE, QUIET))
    assert refused.value.most == pytest.approx(0.3)
    with pytest.raises(TargetOutOfReach, match=r"loses 0\.292 of the time"):  # the table alone would have allowed it
        aim(0.4, WHOLE, chooser(0.41), lambda chosen: (chosen.left / WHOLE * 1.2, QUIET))
    found = aim(0.4, WHOLE, chooser(0.41), lambda chosen: (chosen.left / WHOLE * 1.06, QUIET))
    assert (found.number, found.left) == (2, pytest.approx(0.59 * 1.06))  # misses by 4.2 %


def test_a_clock_that_is_too_noisy_is_told(monkeypatch):
    timings = []
    monkeypatch.setattr(target, "deploy", lambda *_: "a file")
    monkeypatch.setattr(
        target.timing, "timed", lambda *_: timings.append(1) or Timed(9.0, (0.5, 0.6, 0.55), noise=0.081)
    )
    here = SimpleNamespace(runtime="openvino", threads=2, precision="int8", int8_cpu=None)
    with (
        stopwatch(None, square(64), here, seed=0) as time,
        pytest.raises(MeasurementError, match=r"8.1%.*target=flops"),
    ):
        time(None)
    assert len(timings) == target.timing.TIMINGS
    monkeypatch.setattr(target.timing, "timed", lambda *_: Timed(9.0, (0.4, 0.9), noise=0.01))
    with stopwatch(None, square(64), here, seed=0) as time:
        assert time(None)[0] == pytest.approx(0.6)  # the geometric mean of both processes


@pytest.mark.parametrize(
    ("noises", "kept"),
    [([0.02, 0.01], 0.02), ([0.04, 0.03, 0.045, 0.01], 0.03), ([0.08, 0.025], 0.025), ([0.06, 0.05, 0.07], 0.05)],
)
def test_a_timing_is_repeated_until_it_is_quiet_enough_else_the_least_noisy_is_kept(noises, kept):
    timings = iter(Timed(9.0, (), noise) for noise in noises)
    assert steady(lambda: next(timings), enough=0.025).noise == kept
