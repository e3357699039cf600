"""Selects widths so that a share of the milliseconds in one runtime and precision goes.

The latency table predicts what a choice of widths would take, so that the choice can weigh milliseconds against the
loss. Then the narrowed network and the original are timed, and where the share was missed, the next choice aims between
the two networks that bracket it.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from torch import nn

from optimize.errors import TargetOutOfReach
from optimize.input_size import Size
from optimize.pruner.latency import timing
from optimize.pruner.latency.deployment import Deployment
from optimize.pruner.latency.networks import deploy
from optimize.pruner.latency.timing import Timed, steady
from optimize.pruner.selection import Selection

log = logging.getLogger(__name__)

ATTEMPTS = 4
CLOSE = 0.02  # of the time asked for; a choice that comes as close is taken
TOO_SLOW = 0.05  # of the time asked for; where the narrowest network takes as much longer, the share is refused
ROUNDS, SECONDS = 20, 6.0  # of each timing, as in `timing`
OPENED = 3  # processes of a narrowed network

Choose = Callable[[float], Selection]  # widths by which the predicted time loses a share
Time = Callable[[nn.Module], tuple[float, Timed]]


@dataclass(frozen=True)
class Attempt:
    """One choice of widths that was timed.

    Attributes:
        chosen: the widths.
        left: share of the original's time that they take.
        timed: the timing.
        number: of this attempt, from 1.
    """

    chosen: Selection
    left: float
    timed: Timed
    number: int


def aim(share: float, whole: float, choose: Choose, measure: Callable[[Selection], tuple[float, Timed]]) -> Attempt:
    """The attempt that comes closest to removing `share` of the original's time.

    A share that the table holds out of reach may be within it, so the narrowest choice is timed before one is refused.

    Args:
        share: of the time to remove.
        whole: predicted milliseconds of the original.
        choose: selects widths.
        measure: times a selection: the share of the original's time that it takes, and the timing.

    Raises:
        TargetOutOfReach: the share can't be reached; the sentence states the largest that can.
        MeasurementError: as `measure`.
    """
    aimed, most, attempts = share, None, list[Attempt]()
    for number in range(1, ATTEMPTS + 1):
        try:
            chosen = choose(aimed)
        except TargetOutOfReach as beyond:
            if most is not None:
                break
            if beyond.most is None:
                raise
            most = beyond.most
            chosen = choose(most)
        if any(chosen.left == attempt.chosen.left for attempt in attempts):  # there is nothing between
            break
        attempts.append(Attempt(chosen, *measure(chosen), number))
        predicted, left = chosen.left / whole, attempts[-1].left
        log.info("attempt %d: %.1f %% of the time was predicted, %.1f %% timed", number, 100 * predicted, 100 * left)
        if _miss(attempts[-1], share) <= CLOSE:
            break
        original, cuts = (1.0, 1.0), [(attempt.chosen.left / whole, attempt.left) for attempt in attempts]
        aimed = 1 - expected([original, *cuts], 1 - share)
    least = min(attempt.left for attempt in attempts)
    if most is not None and least > (1 - share) * (1 + TOO_SLOW):
        raise TargetOutOfReach(
            f"prune={share:g} can't be reached: the narrowest network that these settings of the pruner allow was "
            f"timed and loses {1 - least:.3f} of the time; lower prune or pruner.round_to, or raise pruner.max_ratio.",
            1 - least,
        )
    return min(attempts, key=lambda attempt: _miss(attempt, share))


def expected(known: list[tuple[float, float]], wanted: float) -> float:
    """The predicted share of the time at which the timed one is expected to be `wanted`.

    It lies on the line between the two networks that bracket it; where none is as fast, in proportion to the fastest.

    Args:
        known: predicted and timed shares of networks, one of which is not faster than wanted.
        wanted: a timed share.
    """
    slow, high = min((one for one in known if one[1] >= wanted), key=lambda one: one[1])
    faster = [one for one in known if one[1] < wanted]
    if not faster:
        return slow * wanted / high
    fast, low = max(faster, key=lambda one: one[1])
    return fast + (slow - fast) * (wanted - low) / (high - low)


def _miss(attempt: Attempt, share: float) -> float:
    return abs(attempt.left / (1 - share) - 1)


@contextmanager
def stopwatch(original: nn.Module, imgsz: Size, deployment: Deployment, seed: int) -> Iterator[Time]:
    """A function that times a narrowed network against `original` in a deployment.

    It returns the share of the original's time that is left, and the timing, and raises a MeasurementError where two
    processes of one file differ too much to tell.
    """
    runtime, threads = deployment.runtime, deployment.threads
    with TemporaryDirectory() as folder:
        reference = deploy(original, runtime, deployment.precision, imgsz, Path(folder, "0"), deployment.int8_cpu)
        places = (Path(folder, str(number)) for number in count(1))

        def time(network: nn.Module) -> tuple[float, Timed]:
            narrow = deploy(network, runtime, deployment.precision, imgsz, next(places), deployment.int8_cpu)
            files = [reference, *[narrow] * OPENED]
            timed = steady(lambda: timing.timed(runtime, files, threads, seed, ROUNDS, SECONDS))
            return float(np.exp(np.log(timed.shares).mean())), timed

        yield time
