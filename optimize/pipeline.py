"""The whole job, top to bottom: make every variant, then measure every variant as it would be deployed."""

import json
import logging
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

from optimize.data.dataset import Dataset
from optimize.errors import MeasurementError
from optimize.judge import Judge
from optimize.measure import cost
from optimize.measure.cost import Cost
from optimize.measure.graph_cost import GraphCost
from optimize.provenance import Provenance
from optimize.quant.int8 import Int8
from optimize.result import Report, Result
from optimize.runtime.session import Runtime
from optimize.runtime.torch import Torch
from optimize.stage import REPORT, Stage, apply, digest
from optimize.variant import Variant
from optimize.yolo.checkpoint import deployed, load

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


@dataclass(frozen=True)
class Subject:
    """A variant to be measured, what it costs in torch and in the exported graph, and how it was quantized."""

    variant: Variant
    cost: Cost
    graph: GraphCost | None
    quantization: dict | None


def run(plan: Plan, folder: Path) -> Report:
    """Make all variants of `plan`, copy them to `folder`, and measure each as it lies there.

    Raises:
        OptimizeError: a stage can't do what was asked, or two counts of one thing disagree.
    """
    models, stages = _models(plan)
    costs = [cost.count(deployed(load(model.path)), model.imgsz) for model in models]
    runtimes = (Torch(), *plan.runtimes)
    subjects = [s for r in runtimes for m, c in zip(models, costs, strict=True) for s in _subjects(plan, r, m, c)]
    subjects = [replace(subject, variant=_hand_out(subject.variant, folder)) for subject in subjects]
    results = [_measure(plan.judge, subject) for subject in subjects]
    log.info("timing %d variants on %d threads", len(subjects), plan.judge.threads)
    timing = plan.judge.time([subject.variant for subject in subjects])
    results = [replace(result, latency=time) for result, time in zip(results, timing.latencies, strict=True)]
    report = Report(tuple(results), timing.noise, timing.noise_spread, stages, plan.provenance)
    best = chosen(report)
    seen = plan.judge.disagreement(results[0].variant, best.variant, folder) if best else None
    return replace(report, disagreement=seen)


def chosen(report: Report) -> Result | None:
    """The fastest variant that was made of the original; None where nothing was changed."""
    made = (r for r in report.results if r.variant.name != "original" and not r.rival and r.latency)
    return min(made, key=lambda result: result.latency.median_ms, default=None)


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


def _subjects(plan: Plan, runtime: Runtime, model: Variant, counted: Cost) -> list[Subject]:
    """One model as `runtime` deploys it: in float32, and in every other precision."""
    exported = apply(runtime.export, model, plan.store)
    made = [_in_precision(plan, stage, runtime, model, exported) for stage in plan.precisions]
    subjects = []
    for variant in (exported, *(variant for variant in made if variant != exported)):
        graph = runtime.count(variant)  # of what is built, since a built engine has no operators left to count
        _agree(variant, counted, graph)
        quantization = _said(variant) if variant != exported else None
        subjects.append(Subject(plan.judge.built(variant), counted, graph, quantization))
    return subjects


def _in_precision(plan: Plan, stage: Stage, runtime: Runtime, model: Variant, exported: Variant) -> Variant:
    """`exported` in another precision; where int8 loses too much, the better of it and one trained for int8."""
    made = apply(stage, exported, plan.store)
    if not isinstance(stage, Int8) or plan.qat is None or made == exported or _said(made)["reached"]:
        return made
    log.info("%s on %s lost more than allowed: training the model for int8", made.name, made.runtime)
    trained = apply(runtime.export, apply(plan.qat, model, plan.store), plan.store)
    again = apply(replace(stage, reference=exported), trained, plan.store)
    return max(made, again, key=lambda variant: plan.judge.score(variant).score)


def _hand_out(variant: Variant, folder: Path) -> Variant:
    """Copy an artefact into the run's folder; the user's own checkpoint stays where it is."""
    if variant.name == "original" and variant.runtime == "torch":
        return variant
    ending = "_openvino_model" if variant.path.is_dir() else variant.path.suffix
    target = folder / "artefacts" / variant.runtime / f"{variant.name}{ending}"
    target.parent.mkdir(parents=True, exist_ok=True)
    (shutil.copytree if variant.path.is_dir() else shutil.copy2)(variant.path, target)
    return replace(variant, path=target)


def _measure(judge: Judge, subject: Subject) -> Result:
    """Everything but the latency, which is measured for all variants together."""
    variant = subject.variant
    files = [variant.path] if variant.path.is_file() else [p for p in variant.path.rglob("*") if p.is_file()]
    return Result(
        variant=variant,
        sha256=digest(variant.path),
        size_bytes=sum(file.stat().st_size for file in files),
        cost=subject.cost,
        graph=subject.graph,
        accuracy=judge.score(variant),
        latency=None,
        quantization=subject.quantization,
    )


def _agree(variant: Variant, counted: Cost, graph: GraphCost | None) -> None:
    if graph and abs(graph.ops - counted.flops) > AGREEMENT * counted.flops:
        raise MeasurementError(
            f"{variant.name} on {variant.runtime}: the exported graph has {graph.ops} operations, its model "
            f"{counted.flops}; they must agree within {AGREEMENT:.0%}, so please report this model to us."
        )
