"""Whether one of two files is slower, decided by timing both now, each opened in several processes.

Two processes that open the same file differ by about a percent, by where their memory lies, for as long as they live.
More rounds do not lessen that; so both files are opened several times, and the spread between the processes of one file
is the noise that a difference between the files must exceed.
"""

from contextlib import ExitStack
from dataclasses import dataclass
from math import exp

import numpy as np
from scipy import stats

from optimize.host.resources import free_memory
from optimize.measure import clock
from optimize.measure.groups import MEMORY
from optimize.measure.latency import Subject, opener
from optimize.progress import steps

OPENED = 4  # processes of each file; fewer where memory holds no more, at least two
ROUNDS = 30
CERTAIN = 0.995  # how sure the slow-down of a slower file is
LEAST = 0.02  # a smaller slow-down is never told: no deployment notices it


@dataclass(frozen=True)
class Slowdown:
    """The time of a new file against that of an old one, both timed now and in turns.

    Attributes:
        old_ms, new_ms: medians of all calls, in milliseconds.
        share: by which the new file takes longer; negative where it is faster.
        at_least: with 99.5 % confidence it takes longer by at least this share.
    """

    old_ms: float
    new_ms: float
    share: float
    at_least: float

    @property
    def slower(self) -> bool:
        return self.at_least > 0 and self.share > LEAST


def measure(old: Subject, new: Subject, threads: int, seed: int) -> Slowdown:
    """Time both now.

    Raises:
        Stopped: one of them can't be opened or called.
    """
    return compared(*times(old, new, threads, seed, ROUNDS, OPENED))


def times(
    old: Subject, new: Subject, threads: int, seed: int, rounds: int, opened: int
) -> tuple[np.ndarray, np.ndarray]:
    """Milliseconds of the visits to both files, the median of each: (processes, rounds), visited in random order."""
    least = free_memory() * (1 - MEMORY)
    with ExitStack() as processes:
        workers: list[clock.Worker] = []
        while len(workers) < 2 * opened and (len(workers) < 4 or free_memory() > least):
            for subject in (old, new):
                start = opener(*subject, threads, seed)
                workers.append(processes.enter_context(clock.worker(start, len(workers))))
        lengths = [clock.length(worker.milliseconds, rounds) for worker in workers]
        visits = clock.in_turns(workers, lengths, steps("timing", rounds), seed)
    medians = np.array([np.median(visit, axis=1) for visit in visits])
    return medians[::2], medians[1::2]


def compared(old: np.ndarray, new: np.ndarray) -> Slowdown:
    """The slow-down by the times of visits, (processes, rounds) each, of the same rounds.

    Student's t-test over the processes: of each the median over the rounds of its time against the mean of all in that
    round (both as logarithms), so that drift of the CPU's clock cancels.
    """
    logs = np.log(np.concatenate([old, new]))
    levels = np.median(logs - logs.mean(axis=0), axis=1)
    of_old, of_new = levels[: len(old)], levels[len(old) :]
    share = exp(of_new.mean() - of_old.mean()) - 1
    if np.ptp(of_old) == np.ptp(of_new) == 0:  # without any spread there is no noise
        at_least = share
    else:
        test = stats.ttest_ind(of_new, of_old, alternative="greater")
        at_least = exp(test.confidence_interval(CERTAIN).low) - 1
    return Slowdown(float(np.median(old)), float(np.median(new)), share, at_least)
