"""The whole job, top to bottom: make every variant, then measure every variant as it would be deployed."""

import logging
import shutil
from dataclasses import replace
from pathlib import Path

from optimize.checks import check_unchanged
from optimize.failures import noted
from optimize.judge import Judge
from optimize.measure.disagreement import Disagreement
from optimize.measure.latency import Timing, Untimed
from optimize.measure.roofline import Machine
from optimize.plan import Plan
from optimize.report.verdict import chosen
from optimize.result import Failure, Report, Result
from optimize.stage import digest
from optimize.store.contents import size
from optimize.variant import Variant
from optimize.variants import Subject, variants
from optimize.yolo.checkpoint import blocks, load

log = logging.getLogger(__name__)


def run(plan: Plan, folder: Path) -> Report:
    """Make all variants of `plan`, copy them to `folder`, and measure each as it lies there.

    What fails for one variant is noted in the report, and the others go on; only without the original in torch, with
    which all others are compared, there is no report.

    Raises:
        OptimizeError: a stage that makes the pruned model can't do what was asked, the original can't be measured, or
            the data set changed meanwhile.
    """
    failures: list[Failure] = []
    subjects, stages = variants(plan, failures)
    results = [_measure(plan.judge, subjects[0], folder)]
    for subject in subjects[1:]:
        with noted(failures, subject.variant.name, subject.variant.runtime):
            results.append(_measure(plan.judge, subject, folder))
    log.info("timing %d variants on %d threads", len(results), plan.judge.threads)
    results, timing = _timed(plan.judge, results, failures)
    log.info("time by layer, and the peaks of this machine")
    results, machine = _profiled(plan.judge, results, failures)
    report = Report(
        results=tuple(results),
        noise=timing.noise,
        noise_spread=timing.noise_spread,
        stages=stages,
        provenance=plan.provenance,
        blocks=blocks(load(plan.original.path)),
        machine=machine,
        limits=plan.limits,
    )
    seen = _compared(plan.judge, report, folder, failures)
    check_unchanged(plan.data)
    log.info(
        "%s holds %.1f MB; `python -m optimize.store` shows what of it no run uses", plan.store, size(plan.store) / 1e6
    )
    return replace(report, disagreement=seen, failures=tuple(failures))


def _hand_out(subject: Subject, folder: Path) -> Variant:
    """Copy an artefact into the run's folder; the user's own checkpoints stay where they are."""
    variant = subject.variant
    if variant.runtime == "torch" and (subject.model.rival or variant.name == "original"):
        return variant
    ending = f"_{variant.runtime}_model" if variant.path.is_dir() else variant.path.suffix  # as ultralytics knows them
    target = folder / "artefacts" / variant.runtime / f"{variant.name}{ending}"
    target.parent.mkdir(parents=True, exist_ok=True)
    (shutil.copytree if variant.path.is_dir() else shutil.copy2)(variant.path, target)
    return replace(variant, path=target)


def _measure(judge: Judge, subject: Subject, folder: Path) -> Result:
    """Everything of what is handed out but the latency, which is measured for all variants together."""
    variant = _hand_out(subject, folder)
    files = [variant.path] if variant.path.is_file() else [p for p in variant.path.rglob("*") if p.is_file()]
    return Result(
        variant=variant,
        sha256=digest(variant.path),
        size_bytes=sum(file.stat().st_size for file in files),
        cost=subject.model.cost,
        graph=subject.graph,
        accuracy=judge.score(variant),
        latency=None,
        quantization=subject.quantization,
        rival=subject.model.rival,
    )


def _timed(judge: Judge, results: list[Result], failures: list[Failure]) -> tuple[list[Result], Timing]:
    """`results` with latencies; one that can't be timed is left without, and the others are timed again."""
    timed = list(range(len(results)))
    while True:
        try:
            timing = judge.time([results[i].variant for i in timed])
            break
        except Untimed as error:
            if error.index == 0:
                raise
            log.exception("the others are timed again")
            variant = results[timed.pop(error.index)].variant
            failures.append(Failure(variant.name, variant.runtime, str(error)))
    for i, latency in zip(timed, timing.latencies, strict=True):
        results[i] = replace(results[i], latency=latency)
    return results, timing


def _profiled(judge: Judge, results: list[Result], failures: list[Failure]) -> tuple[list[Result], Machine | None]:
    """`results` with their time by layer, and what this machine can do."""
    timed, machine = [i for i, result in enumerate(results) if result.latency], None
    with noted(failures, "time by layer", "every runtime"):
        profiles, machine = judge.profile([results[i].variant for i in timed])
        for i, profile in zip(timed, profiles, strict=True):
            results[i] = replace(results[i], profile=profile)
    return results, machine


def _compared(judge: Judge, report: Report, folder: Path, failures: list[Failure]) -> Disagreement | None:
    """Where the best variant sees something else than the original in torch; None where nothing was changed."""
    best = chosen(report)
    if best is None:
        return None
    with noted(failures, "pictures", best.variant.runtime):
        return judge.disagreement(report.results[0].variant, best.variant, folder)
