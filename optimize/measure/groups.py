"""Files that are timed together: as many as memory holds, each with the one that it is compared with."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import NamedTuple

from optimize.errors import MeasurementError, described
from optimize.host.process import end_with
from optimize.host.resources import free_memory
from optimize.measure import clock
from optimize.measure.clock import Opener, Worker

log = logging.getLogger(__name__)

MEMORY = 0.5  # share of the free memory that the open files may take together


class Group(NamedTuple):
    """Files that are open at once.

    Attributes:
        workers: by index; those that others are compared with may be in several groups.
        wanted: the indices that are timed for their own sake, each in one group.
    """

    workers: dict[int, Worker]
    wanted: list[int]


@contextmanager
def opening(parent: int) -> Iterator[None]:
    """In a new process: end with the process `parent`, and raise what a runtime raises as one sentence.

    Raises:
        MeasurementError: the block raises anything.
    """
    end_with(parent)
    try:
        yield
    except Exception as error:  # runtimes raise anything
        raise MeasurementError(described(error)) from error


def groups(openers: Sequence[Opener], references: Sequence[int]) -> Iterator[Group]:
    """Open all files, or where they would take more than half of the free memory, one group after the other.

    Args:
        openers: as in `clock.worker`.
        references: for each the index of the one that it is compared with, which may be itself.

    Raises:
        Stopped: one of them can't be opened.
    """
    left = sorted(range(len(openers)), key=lambda i: (references[i], i != references[i]))
    while left:
        with ExitStack() as processes:
            group, least = Group({}, []), free_memory() * (1 - MEMORY)
            while left and (not group.wanted or free_memory() > least):
                i = left.pop(0)
                for j in (references[i], i):
                    if j not in group.workers:
                        group.workers[j] = processes.enter_context(clock.worker(openers[j], j))
                group.wanted.append(i)
            if left:
                log.info(
                    "half of the free memory holds %d files; the other %d are timed after them",
                    len(group.wanted),
                    len(left),
                )
            yield group
