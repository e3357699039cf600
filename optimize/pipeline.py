"""All steps of a run, in order: make every variant, then measure every variant as it would be deployed."""

import logging
import shutil
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

from optimize.batches import with_throughput
from optimize.checks import check_unchanged
from optimize.equal_time import with_rivals
from optimize.errors import during
from optimize.failures import record_failure
from optimize.finalists import on_all_images
from optimize.judge import Judge
from optimize.measure.latency import Untimed
from optimize.plan import Plan
from optimize.result import Failure, Report, Result
from optimize.store.apply import digest
from optimize.store.contents import size
from optimize.store.held import recording
from optimize.store.manifest import placing
from optimize.variant import Variant
from optimize.variants import Subject, original, variants
from optimize.verdict.verdict import chosen
from optimize.yolo.checkpoint import blocks, load

log = logging.getLogger(__name__)


Keep = Callable[[Report], object]  # called with the unfinished report whenever it grows


def run(plan: Plan, folder: Path, keep: Keep = lambda report: None) -> Report:
    """Make all variants of `plan`, copy them to `folder`, and measure each as it lies there.

    Raises:
        OptimizeError: as `build`; or the original can't be timed.
    """
    report = build(plan, folder, keep)
    with during("looking for rivals at equal time"), recording("rivals"):
        report = with_rivals(report, plan, partial(measure_subject, plan.judge, folder=folder), timed)
    keep(report)
    log.info("timing %d variants on %d threads", len(report.results), plan.judge.threads)
    with during("timing"), recording("timing", len(report.results)):
        report = timed(report, plan.judge, with_frames=True)
    keep(report)
    report = on_all_images(report, plan.judge)
    keep(report)
    with during("measuring start-up and memory"), recording("start-up", len(report.results)):
        report = _started(report, plan.judge)
    keep(report)
    if plan.batches:
        with during("measuring throughput"), recording("throughput"):
            report = with_throughput(report, plan.judge, folder, plan.batches, plan.streams)
        keep(report)
    log.info("measuring the time by layer and the peaks of this machine")
    with during("measuring the time by layer"), recording("profile", len(report.results)):
        report = _profiled(report, plan.judge)
    keep(report)
    with during("comparing the detections of the best variant with the original's"):
        report = _compared(report, plan.judge, folder)
    check_unchanged(plan.data)
    return report


def build(plan: Plan, folder: Path | None = None, keep: Keep = lambda report: None) -> Report:
    """Make and validate every variant, without the measurements that need a quiet machine.

    The failure of a variant is noted in the report, and the others go on. Without the original in torch, the reference
    of all comparisons, there is no report. Artefacts are copied to `folder`; with None they stay in the store, as in a
    sweep, whose jobs share most of them.

    Raises:
        OptimizeError: a stage that makes the pruned model can't do what was asked, the original can't be measured, or
            the data set changed during the run.
    """
    failures: list[Failure] = []
    results = [measure_subject(plan.judge, original(plan), folder)]  # first, so that errors in validation show early
    report = Report(
        results=tuple(results),
        noise=None,
        noise_spread=None,
        stages=(),
        quant=plan.quant,
        provenance=plan.provenance,
        limits=plan.limits,
        device=plan.device,
        blocks=blocks(load(plan.original.path)),
        left_out=plan.data.left_out,
    )
    keep(report)
    subjects, stages = variants(plan, failures)
    report = replace(report, stages=stages)
    for subject in subjects[1:]:
        with record_failure(failures, subject.variant.name, subject.variant.runtime):
            results.append(measure_subject(plan.judge, subject, folder))
        report = replace(report, results=tuple(results), failures=tuple(failures))
        keep(report)
    check_unchanged(plan.data)
    log.info("%s holds %.1f MB; `python -m optimize.store` lists what no run uses", plan.store, size(plan.store) / 1e6)
    return replace(report, failures=tuple(failures))


def _hand_out(subject: Subject, folder: Path) -> Variant:
    """Copy an artefact into the run's folder; the user's own checkpoints stay where they are."""
    variant = subject.variant
    if variant.runtime == "torch" and (subject.model.rival or variant.name == "original"):
        return variant
    place = Path("artefacts", variant.runtime, f"{variant.name}{variant.ending}")
    with placing(folder) as partial:
        (partial / place).parent.mkdir(parents=True)
        (shutil.copytree if variant.path.is_dir() else shutil.copy2)(variant.path, partial / place)
    return replace(variant, path=folder / place)


def measure_subject(judge: Judge, subject: Subject, folder: Path | None) -> Result:
    """Measure everything except latency, which is measured for all variants together."""
    variant = _hand_out(subject, folder) if folder else subject.variant
    files = [variant.path] if variant.path.is_file() else [p for p in variant.path.rglob("*") if p.is_file()]
    return Result(
        variant=variant,
        runtime=subject.runtime,
        precision=subject.precision,
        sha256=digest(variant.path),
        size_bytes=sum(file.stat().st_size for file in files),
        cost=subject.model.cost,
        graph=subject.graph,
        accuracy=judge.score(variant),
        latency=None,
        quantization=subject.quantization,
        rival=subject.model.rival,
    )


def timed(report: Report, judge: Judge, with_frames: bool = False) -> Report:
    """`report` with latencies. A row that can't be timed gets none, and the others are timed again.

    Args:
        report: its rows lie where they say.
        judge: that times them.
        with_frames: whether to time whole frames as well.

    Raises:
        Untimed: the original in torch can't be timed.
    """
    results, failures = list(report.results), list(report.failures)
    rows = list(range(len(results)))
    while True:
        try:
            timing = judge.time([results[i].variant for i in rows], with_frames)
            break
        except Untimed as error:
            if error.index == 0:
                raise
            log.exception("the others are timed again")
            variant = results[rows.pop(error.index)].variant
            failures.append(Failure(variant.name, variant.runtime, str(error)))
    for i, (latency, frame) in zip(rows, timing.times, strict=True):
        results[i] = replace(results[i], latency=latency, frame=frame)
    return replace(
        report,
        results=tuple(results),
        failures=tuple(failures),
        noise=timing.noise,
        noise_spread=timing.noise_spread,
        provenance=replace(report.provenance, timing=timing.host),
        alone=True,
    )


def _started(report: Report, judge: Judge) -> Report:
    """`report` with what a new process needs to open the file of every timed row."""
    results, failures = list(report.results), list(report.failures)
    rows = [i for i, result in enumerate(results) if result.latency]
    with record_failure(failures, "start-up and memory", "every runtime"):
        for i, start_up in zip(rows, judge.start_up([results[i].variant for i in rows]), strict=True):
            results[i] = replace(results[i], start_up=start_up)
    return replace(report, results=tuple(results), failures=tuple(failures))


def _profiled(report: Report, judge: Judge) -> Report:
    """`report` with the time by layer of every timed row, and the peaks of this machine."""
    results, failures, machine = list(report.results), list(report.failures), None
    rows = [i for i, result in enumerate(results) if result.latency]
    with record_failure(failures, "time by layer", "every runtime"):
        profiles, machine = judge.profile([results[i].variant for i in rows])
        for i, profile in zip(rows, profiles, strict=True):
            results[i] = replace(results[i], profile=profile)
    return replace(report, results=tuple(results), failures=tuple(failures), machine=machine)


def _compared(report: Report, judge: Judge, folder: Path) -> Report:
    """`report` with where the best variant sees something else than the original in torch, if anything was changed."""
    best, failures, seen = chosen(report), list(report.failures), None
    if best is not None:
        with record_failure(failures, "images", best.variant.runtime), placing(folder) as partial:
            seen = judge.disagreement(report.results[0].variant, best.variant, partial)
    return replace(report, failures=tuple(failures), disagreement=seen)
