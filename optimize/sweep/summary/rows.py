"""The rows of all jobs as one list: what several jobs share is one row."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import takewhile
from pathlib import PurePath, PureWindowsPath

from optimize.provenance import Comparable
from optimize.result import Report, Result
from optimize.sweep.job import Job
from optimize.sweep.summary.against import against_the_largest
from optimize.sweep.sweep import Sweep
from optimize.verdict import plain

FILES = ("model", "data")  # keys whose values may be paths


@dataclass(frozen=True, eq=False)
class Row:
    """One artefact, of one job or of several.

    Attributes:
        result: what was measured.
        report: of its first job, with the original that points, FLOPs and times are compared with, see `against.py`.
        jobs: the numbers of all that have it.
        overrides: what differs between the jobs of the sweep and is the same in all that have this row, by its key.
        family: the overrides that its model in torch depends on, which more jobs share than its exports.
    """

    result: Result
    report: Report
    jobs: tuple[int, ...]
    overrides: dict[str, str]
    family: dict[str, str] = field(default_factory=dict)

    @property
    def added(self) -> str:
        """What tells it from rows of the same name, e.g. ` with prune=0.3 pruner=l2`."""
        return with_(self.overrides)

    @property
    def called(self) -> str:
        return f"{plain.called(self.result)}{self.added}"

    def short(self, name: str) -> str:
        """`name`, of its model or variant, with no more than a chart has room for, e.g. `pruned 0.3 l2`."""
        return " ".join([name, *self.family.values()])

    @property
    def peers(self) -> tuple[Comparable, str]:
        """Rows can be compared that have the same data, images and metric, and were timed on as many threads."""
        return self.report.provenance.comparable, self.result.accuracy.metric


def rows(sweep: Sweep, told: dict[int, dict[str, str]]) -> list[Row]:
    """Every artefact that was measured, once, in the order of jobs and of their reports.

    It is the same where file, runtime, arithmetic and input are, and the original that it is compared with.

    Args:
        sweep: with its reports.
        told: `overrides` of its jobs.
    """
    compared = against_the_largest(sweep.reports)
    found: dict[tuple[object, ...], list[tuple[int, Result]]] = {}
    for number, (own, report) in compared.items():
        for result in own:
            found.setdefault(_identity(result, report), []).append((number, result))
    known = []
    for same in found.values():
        numbers = tuple(number for number, _ in same)
        number, result = next((one for one in same if one[1].latency), same[0])
        known.append(Row(result, compared[number].report, numbers, shared([told[one] for one in numbers])))
    return _with_families(known)


def overrides(jobs: Sequence[Job]) -> dict[int, dict[str, str]]:
    """By number, what was set for a job that not all others have the same; paths without what they share."""
    given = {one.number: settings(one) for one in jobs}
    keys = dict.fromkeys(key for own in given.values() for key in own)
    differing = [key for key in keys if len({own.get(key) for own in given.values()}) > 1]
    short = {key: _short({own[key] for own in given.values() if key in own}) for key in differing if key in FILES}
    return {
        number: {key: short.get(key, {}).get(own[key], own[key]) for key in differing if key in own}
        for number, own in given.items()
    }


def settings(job: Job) -> dict[str, str]:
    """Everything that was set for a job, by its key on the command line."""
    return dict(one.lstrip("+").partition("=")[::2] for one in job.overrides)


def shared(told: Sequence[dict[str, str]]) -> dict[str, str]:
    """What all of them have the same."""
    first, *others = told
    return {key: value for key, value in first.items() if all(own.get(key) == value for own in others)}


def with_(told: dict[str, str]) -> str:
    """` with prune=0.3 pruner=l2`, or nothing."""
    said = " ".join(f"{key}={value}" for key, value in told.items())
    return f" with {said}" if said else ""


def groups(known: Iterable[Row]) -> list[list[Row]]:
    """Rows that can be compared with each other; one group, but in a sweep over data, images, metrics or threads."""
    found: dict[tuple[Comparable, str], list[Row]] = {}
    for row in known:
        found.setdefault(row.peers, []).append(row)
    return list(found.values())


def _identity(result: Result, report: Report) -> tuple[object, ...]:
    variant, original = result.variant, report.results[0]
    what = result.sha256, variant.runtime, variant.precision, variant.imgsz
    frame = report.provenance.config.get("frame")
    return *what, original.sha256, original.variant.imgsz, report.provenance.comparable, frame


def _short(values: set[str]) -> dict[str, str]:
    """Paths without the folders that all of them share, those of Windows too."""
    kind = PureWindowsPath if any(PureWindowsPath(value).drive for value in values) else PurePath
    parts = {value: kind(value).parts for value in values}
    levels = zip(*(folders[:-1] for folders in parts.values()), strict=False)
    shared = len(list(takewhile(lambda level: len(set(level)) == 1, levels)))
    return {value: kind(*folders[shared:]).as_posix() for value, folders in parts.items()}


def _with_families(known: list[Row]) -> list[Row]:
    models = {
        (number, plain.model(row.result)): row.overrides
        for row in known
        if row.result.variant.runtime == "torch"
        for number in row.jobs
    }
    return [replace(row, family=models.get((row.jobs[0], plain.model(row.result)), row.overrides)) for row in known]
