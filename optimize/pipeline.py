"""The whole job, top to bottom: make every variant, then measure every variant as it would be deployed."""

import json
import logging
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

from optimize.data.dataset import Dataset
from optimize.errors import MeasurementError
from optimize.failures import noted
from optimize.judge import Judge
from optimize.limits import Limits
from optimize.measure import cost
from optimize.measure.cost import Cost
from optimize.measure.disagreement import Disagreement
from optimize.measure.graph_cost import GraphCost
from optimize.measure.latency import Timing, Untimed
from optimize.measure.roofline import Machine
from optimize.provenance import Provenance
from optimize.quant.int8 import Int8
from optimize.report.verdict import chosen
from optimize.result import Failure, Report, Result
from optimize.rivals import smaller
from optimize.runtime.session import Runtime
from optimize.runtime.torch import Torch
from optimize.stage import REPORT, Stage, apply, digest
from optimize.variant import Variant
from optimize.yolo.checkpoint import blocks, deployed, load

log = logging.getLogger(__name__)

AGREEMENT = 0.01  # two independent counts of the same operations may differ by this share, and not by more


@dataclass(frozen=True)
class Plan:
    """Everything a run needs, built and checked before any work starts.

    Attributes:
        original: the checkpoint to start from.
        data: where to train, calibrate and validate.
        shrink: the stages that make the pruned model, in order; those with nothing to do return the variant as it is.
        precisions: stages of which each makes one more precision of an exported float32 model.
        qat: the stage that trains a model whose int8 loses more than allowed; None where nothing may be trained.
        runtimes: where every model is exported to and measured, beside torch.
        judge: measures accuracy and latency.
        store: where finished work lies, shared by all runs.
        provenance: where the report's figures come from.
        rivals: other checkpoints to measure, beside the original at a smaller input; None for no rival at all.
        limits: what the user can't do without.
    """

    original: Variant
    data: Dataset
    shrink: tuple[Stage, ...]
    precisions: tuple[Stage, ...]
    qat: Stage | None
    runtimes: tuple[Runtime, ...]
    judge: Judge
    store: Path
    provenance: Provenance
    rivals: tuple[Variant, ...] | None = None
    limits: Limits = Limits()  # noqa: RUF009  it is frozen


@dataclass(frozen=True)
class Model:
    """A checkpoint that every runtime deploys, and what it costs."""

    variant: Variant
    cost: Cost
    rival: bool = False


@dataclass(frozen=True)
class Subject:
    """A variant to be measured, the model it was made of, what its graph costs, and how it was quantized."""

    variant: Variant
    model: Model
    graph: GraphCost | None
    quantization: dict | None


def run(plan: Plan, folder: Path) -> Report:
    """Make all variants of `plan`, copy them to `folder`, and measure each as it lies there.

    What fails for one variant is noted in the report, and the others go on; only without the original in torch, with
    which all others are compared, there is no report.

    Raises:
        OptimizeError: a stage that makes the pruned model can't do what was asked, or the original can't be measured.
    """
    made, stages = _models(plan)
    models = [Model(model, cost.count(deployed(load(model.path)), model.imgsz)) for model in made]
    failures: list[Failure] = []
    models += _rivals(plan, models, failures)
    runtimes = (Torch(), *plan.runtimes)
    subjects = [s for r in runtimes for m in models for s in _subjects(plan, r, m, failures)]
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
    return replace(report, disagreement=seen, failures=tuple(failures))


def _models(plan: Plan) -> tuple[list[Variant], list[dict]]:
    """The original, and the pruned and recovered model if anything was changed; and what the stages say they did."""
    variant, stages = plan.original, []
    for stage in plan.shrink:
        before, variant = variant, apply(stage, variant, plan.store)
        if variant != before:
            stages.append({"stage": type(stage).__name__.lower(), **_said(variant)})
    return ([plan.original] if variant == plan.original else [plan.original, variant]), stages


def _said(variant: Variant) -> dict | None:
    """What the stage that made `variant` reports of its work, where it has something to say."""
    report = variant.path.parent / REPORT
    return json.loads(report.read_text()) if report.is_file() else None


def _rivals(plan: Plan, models: list[Model], failures: list[Failure]) -> list[Model]:
    """The original at the input that costs as much as the pruned model, and the checkpoints that the user named."""
    if plan.rivals is None:
        return []
    found, (original, last) = [], (models[0], models[-1])
    if last.cost.flops < original.cost.flops:
        with noted(failures, "smaller input", "torch"):
            same = smaller(original.variant, last.cost.flops)
            found += [Model(*same, rival=True)] if same else []
    for rival in plan.rivals:
        with noted(failures, rival.name, "torch"):
            found.append(Model(rival, cost.count(deployed(load(rival.path)), rival.imgsz), rival=True))
    return found


def _subjects(plan: Plan, runtime: Runtime, model: Model, failures: list[Failure]) -> list[Subject]:
    """One model as `runtime` deploys it: in float32, and in every other precision."""
    subjects: list[Subject] = []
    with noted(failures, model.variant.name, runtime.name):
        exported = apply(runtime.export, model.variant, plan.store)
        subjects.append(_subject(plan, runtime, exported, model))
    for stage in plan.precisions if subjects else ():
        tags = (*model.variant.tags, type(stage).__name__.lower())
        with noted(failures, replace(model.variant, tags=tags).name, runtime.name):
            variant = _in_precision(plan, stage, runtime, model, exported)
            if variant != exported:
                subjects.append(_subject(plan, runtime, variant, model, _said(variant)))
    return subjects


def _subject(plan: Plan, runtime: Runtime, variant: Variant, model: Model, quantization: dict | None = None) -> Subject:
    graph = runtime.count(variant)  # of what is built, since a built engine has no operators left to count
    _agree(variant, model.cost, graph)
    return Subject(plan.judge.built(variant), model, graph, quantization)


def _in_precision(plan: Plan, stage: Stage, runtime: Runtime, model: Model, exported: Variant) -> Variant:
    """`exported` in another precision; where int8 loses too much, the better of it and one trained for int8.

    A rival is taken as it is, and never trained.
    """
    made = apply(stage, exported, plan.store)
    trainable = isinstance(stage, Int8) and plan.qat is not None and not model.rival
    if not trainable or made == exported or _said(made)["reached"]:
        return made
    log.info("%s on %s lost more than allowed: training the model for int8", made.name, made.runtime)
    trained = apply(runtime.export, apply(plan.qat, model.variant, plan.store), plan.store)
    again = apply(replace(stage, reference=exported), trained, plan.store)
    return max(made, again, key=lambda variant: plan.judge.score(variant).score)


def _hand_out(subject: Subject, folder: Path) -> Variant:
    """Copy an artefact into the run's folder; the user's own checkpoints stay where they are."""
    variant = subject.variant
    if variant.runtime == "torch" and (subject.model.rival or variant.name == "original"):
        return variant
    ending = "_openvino_model" if variant.path.is_dir() else variant.path.suffix
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


def _agree(variant: Variant, counted: Cost, graph: GraphCost | None) -> None:
    if graph and abs(graph.ops - counted.flops) > AGREEMENT * counted.flops:
        raise MeasurementError(
            f"{variant.name} on {variant.runtime}: the exported graph has {graph.ops} operations, its model "
            f"{counted.flops}; they must agree within {AGREEMENT:.0%}, so please report this model to us."
        )
