"""A search: Optuna says which jobs to run next, and learns what they were worth.

Every job is asked for with a sampler of its own, seeded by its number, that knows the jobs of all earlier batches. So a
search that was killed asks for the same jobs again, and nothing but the finished ones must be kept.
"""

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.samplers import BaseSampler, GPSampler, RandomSampler
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial

from optimize.report import results
from optimize.result import Report
from optimize.sweep import job
from optimize.sweep.job import BUILT, RESULTS
from optimize.sweep.search.objective import Worth, worth
from optimize.sweep.search.space import Distribution, Original, Space, neat, overrides

log = logging.getLogger(__name__)

FILE = "optuna.log"  # in the sweep's folder; `optuna-dashboard optuna.log` shows it
DIRECTIONS = (StudyDirection.MAXIMIZE, StudyDirection.MINIMIZE)  # accuracy, latency
BLIND = 5  # jobs that are drawn at random, before there is something to learn from
TRIES = 100  # random points, before all are taken to be known

Overrides = dict[str, str]
Point = dict[str, Any]


@dataclass(frozen=True)
class Asked:
    """The requested search.

    Attributes:
        fixed: what is the same for every job.
        space: what is searched.
        trials: how many jobs there are in all.
        batch: how many are built and timed at once.
        seed: equal seeds ask for equal first jobs.
    """

    fixed: Overrides
    space: Space
    trials: int
    batch: int
    seed: int


def run(asked: Asked, folder: Path, launch: Callable[[list[Overrides], int], None]) -> None:
    """Go on until all jobs have ended; what they were worth lies in `folder`/optuna.log.

    Args:
        asked: the requested search.
        folder: of the sweep.
        launch: builds jobs, each into a folder with its number; the number of the first one is given.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        storage=JournalStorage(JournalFileBackend(str(folder / FILE))),
        study_name="search",
        directions=DIRECTIONS,
        load_if_exists=True,
    )
    if not study.trials:
        launch([anchor(asked)], 0)
        first = _built(folder, 0)
        if first is None:
            log.error("the original could not be built, so there is nothing to compare with; the search ends.")
            return
        (found,), speed = worth(first, [first])
        study.add_trial(_trial(found, _origin(asked), asked.space, speed=speed))
    first = results.read(folder / "0" / RESULTS)
    size = Original(first.provenance.imgsz, first.provenance.stride)
    while points := _next(study.trials, asked, size):
        start = len(study.trials)
        launch([asked.fixed | overrides(point, size) for point in points], start)
        reports = [_built(folder, start + i) for i in range(len(points))]
        worths, _ = worth(first, [report for report in reports if report], study.trials[0].user_attrs["speed"])
        left = iter(worths)
        for point, report in zip(points, reports, strict=True):
            study.add_trial(_trial(next(left) if report else None, point, asked.space))


def anchor(asked: Asked) -> Overrides:
    """The first job: the original, untouched, which all others are compared with.

    Of what else is searched (epochs, say) it has the first value.
    """
    return asked.fixed | overrides(_origin(asked), None)


def each_choice(asked: Asked) -> list[Overrides]:
    """The first job once for every choice that there is, to check them all."""
    first = _origin(asked)
    choices = [
        (key, value)
        for key, one in asked.space.items()
        if isinstance(one, CategoricalDistribution)
        for value in one.choices
    ]
    return [anchor(asked), *(asked.fixed | overrides(first | {key: value}, None) for key, value in choices)]


def _origin(asked: Asked) -> Point:
    """Where the first job is: at the first value of everything, but with nothing pruned and nothing quantized."""
    point: Point = {key: _first(one) for key, one in asked.space.items()}
    point |= {"prune": "0" if isinstance(asked.space.get("prune"), CategoricalDistribution) else 0.0, "quant": "none"}
    return {key: value for key, value in point.items() if not _is(asked.fixed.get(key), value)}  # as all jobs have it


def _is(given: str | None, value: str | float) -> bool:
    """Whether `given` on the command line is `value`: `0` and `0.00` are the same number."""
    try:
        return given is not None and (given == value or float(given) == float(value))
    except ValueError:
        return False


def _first(one: Distribution) -> Any:
    return one.choices[0] if isinstance(one, CategoricalDistribution) else one.low


def _inside(point: Point, space: Space) -> bool:
    return point.keys() == space.keys() and all(_holds(one, point[key]) for key, one in space.items())


def _holds(one: Distribution, value: Any) -> bool:
    return value in one.choices if isinstance(one, CategoricalDistribution) else one.low <= value <= one.high


def _built(folder: Path, number: int) -> Report | None:
    """What the job found; None where it failed."""
    inside = folder / str(number)
    told = job.read(inside)
    return results.read(inside / RESULTS) if told and told.state == BUILT else None


def _trial(found: Worth | None, point: Point, space: Space, **more: Any) -> FrozenTrial:
    """What Optuna keeps of a job that has ended; one outside of the space has no point, so nothing is learned of it."""
    learned = _inside(point, space)
    params = point if learned else {}
    distributions: dict[str, BaseDistribution] = dict(space) if learned else {}
    if found is None:
        return create_trial(state=TrialState.FAIL, params=params, distributions=distributions, user_attrs=more)
    return create_trial(
        values=(found.score, found.milliseconds),
        params=params,
        distributions=distributions,
        constraints=found.excess,
        user_attrs={"row": found.row, **more},
    )


def _next(ended: list[FrozenTrial], asked: Asked, size: Original) -> list[Point]:
    """The next batch: points at which no job was yet, drawn by what is known of the batches before.

    Batches are counted from the second job, so that one of which only a part was noted is drawn again as it was.
    """
    start = 1 + (len(ended) - 1) // asked.batch * asked.batch
    drawn: list[Point] = []
    for number in range(start, min(start + asked.batch, asked.trials)):
        point = _draw(ended[:start], drawn, asked, number, size)
        if point is None:
            log.warning("every combination has been tried, so the search ends after %d jobs", number)
            break
        drawn.append(point)
    return drawn[len(ended) - start :]


def _draw(known: list[FrozenTrial], drawn: list[Point], asked: Asked, number: int, size: Original) -> Point | None:
    """A point at which no job was yet; None where none is found."""
    running = [create_trial(state=TrialState.RUNNING, params=point, distributions=dict(asked.space)) for point in drawn]
    history = [trial for trial in known if trial.params] + running
    taken = {_settings(trial.params, size) for trial in history}
    for sampler in _samplers(asked.seed, number):
        study = optuna.create_study(sampler=sampler, directions=DIRECTIONS)
        study.add_trials(history)
        point = neat(study.ask(dict(asked.space)).params)
        if _settings(point, size) not in taken:
            return point
    return None


def _samplers(seed: int, number: int) -> Iterator[BaseSampler]:
    """First one that learns, then, where that asks for what is known, others that draw at random."""
    seeds = np.random.SeedSequence([seed, number]).generate_state(TRIES).tolist()
    yield GPSampler(seed=seeds[0], n_startup_trials=BLIND)
    yield from map(RandomSampler, seeds[1:])


def _settings(point: Point, size: Original) -> frozenset[tuple[str, str]]:
    """What makes a job another one: where nothing is pruned, how it would be makes no difference."""
    given = overrides(point, size)
    prune = given.get("prune", "null")
    nothing = prune != "null" and float(prune) == 0
    return frozenset((key, value) for key, value in given.items() if not (nothing and key.startswith("pruner")))
