"""Times all variants of a sweep together on one machine, after all jobs have ended."""

import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from optimize.data.frames import frames_of
from optimize.dataset import Dataset
from optimize.frame.size import frame_size
from optimize.host import quiet
from optimize.input_size import Size
from optimize.measure import clock, latency
from optimize.measure.frames import Frames, FrameTime
from optimize.measure.latency import Latency, Timing, Untimed
from optimize.prepare import dataset, runtimes
from optimize.result import Failure, Report, Result
from optimize.runtime.session import Runtime
from optimize.yolo.checkpoint import trusted

log = logging.getLogger(__name__)

TOGETHER, LEAST = 600.0, 2.0  # seconds that the visits to all files, and those to one, may take: shorter, never fewer
FRAMES = "frame", "data", "selection", "val_images"  # keys that the frames of a row follow from
SOURCE = "model", "data", "selection", "val_images"  # those that a data set is read by


class Artefact(NamedTuple):
    """The identity of what is timed; rows with an equal one are timed once.

    `frames` is the size and the source of the frames that it takes, as the job was given them.
    """

    sha256: str
    runtime: str
    precision: str
    imgsz: Size
    frames: tuple[str, ...]


class Pair(NamedTuple):
    """What is timed, and the original that it is compared with."""

    artefact: Artefact
    reference: Artefact


def timed(reports: Sequence[Report], with_frames: bool = False) -> list[Report]:
    """`reports` with a latency in each row that can be timed.

    Rows of several jobs that are the same artefact, compared with the same original, are timed once, all in turns.

    Args:
        reports: of jobs with the same threads, rounds and seed; their artefacts lie where they say.
        with_frames: whether to time whole frames as well.
    """
    configs = [report.provenance.config for report in reports]
    known = {runtime.info.name: runtime for config in configs for runtime in runtimes(config)}
    with trusted(any(config["trust"] for config in configs)):
        return _timed(reports, known, _frames(reports, known) if with_frames else {})


def _frames(reports: Sequence[Report], known: dict[str, Runtime]) -> dict[Artefact, Frames | None]:
    """The frames of every row."""
    data: dict[str, Dataset] = {}
    frames: dict[Artefact, Frames | None] = {}
    for report in reports:
        config = report.provenance.config
        source = str([config.get(key) for key in SOURCE])
        if source not in data:
            data[source] = dataset(config)
        variants = [row.variant for row in report.results]
        sought = frames_of(
            variants, lambda one: known[one.runtime].metadata(one.path), data[source], frame_size(config.get("frame"))
        )
        frames |= {_artefact(row, report): one for row, one in zip(report.results, sought, strict=True)}
    return frames


def _timed(reports: Sequence[Report], known: dict[str, Runtime], frames: dict[Artefact, Frames | None]) -> list[Report]:
    threads, rounds, seed = _settings(reports[0])
    broken: dict[Artefact, str] = {}
    while True:
        pairs = list(dict.fromkeys(pair for report in reports for pair in _pairs(report, broken).values()))
        variants = {_artefact(row, report): row.variant for report in reports for row in report.results}
        subject = {a: (known[variant.runtime].open, variant) for a, variant in variants.items()}
        own = [pairs.index(Pair(pair.reference, pair.reference)) for pair in pairs]
        try:
            with quiet.timing():
                timing = latency.measure(
                    [subject[pair.artefact] for pair in pairs],
                    threads,
                    rounds,
                    seed,
                    own,
                    min(clock.LONGEST, max(LEAST, TOGETHER / len(pairs))),
                    frames=[frames.get(pair.artefact) for pair in pairs],
                )
        except Untimed as error:
            log.exception("the others are timed again")
            broken[pairs[error.index].artefact] = str(error)
            continue
        found = dict(zip(pairs, timing.times, strict=True))
        return [_with(report, found, timing, broken) for report in reports]


def _settings(report: Report) -> tuple[int, int, int]:
    config = report.provenance.config
    return report.provenance.threads, config["rounds"], config["seed"]


def _artefact(row: Result, report: Report) -> Artefact:
    frames = tuple(str(report.provenance.config.get(key)) for key in FRAMES)
    return Artefact(row.sha256, row.variant.runtime, row.variant.precision, row.variant.imgsz, frames)


def _pairs(report: Report, broken: dict[Artefact, str]) -> dict[int, Pair]:
    """By the row's place: what to time for it. The reference is chosen as within a run, see `latency.measure`."""
    sound = {i: row for i, row in enumerate(report.results) if _artefact(row, report) not in broken}
    pairs = {}
    for i, row in sound.items():
        same = [other for other in sound.values() if other.variant.runtime == row.variant.runtime]
        reference = next((other for other in same if other.variant.name == "original"), same[0])
        pairs[i] = Pair(_artefact(row, report), _artefact(reference, report))
    return pairs


def _with(
    report: Report,
    found: dict[Pair, tuple[Latency, FrameTime | None]],
    timing: Timing,
    broken: dict[Artefact, str],
) -> Report:
    pairs, results = _pairs(report, broken), []
    for i, row in enumerate(report.results):
        time, frame = found[pairs[i]] if i in pairs else (None, None)
        results.append(replace(row, latency=time, frame=frame))
    failures = [
        Failure(row.variant.name, row.variant.runtime, broken[_artefact(row, report)])
        for row in report.results
        if _artefact(row, report) in broken
    ]
    return replace(
        report,
        results=tuple(results),
        failures=(*report.failures, *failures),
        noise=timing.noise,
        noise_spread=timing.noise_spread,
        provenance=replace(report.provenance, timing=timing.host),
        alone=True,
    )
