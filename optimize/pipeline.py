"""The whole job, top to bottom: make every variant, then measure every variant as it would be deployed."""

import json
import logging
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

from optimize.data.dataset import Dataset
from optimize.errors import MeasurementError
from optimize.measure import accuracy, cost, latency
from optimize.measure.cost import Cost
from optimize.measure.graph_cost import GraphCost
from optimize.progress import bar
from optimize.result import Report, Result
from optimize.runtime.session import Runtime
from optimize.runtime.torch import Torch
from optimize.stage import REPORT, Stage, apply, digest
from optimize.variant import Variant
from optimize.yolo.checkpoint import deployed, load
from optimize.yolo.validate import validate

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
        runtimes: where every model is exported to and measured, beside torch.
        remarks: what the report must say besides, e.g. why a runtime was left out; whole sentences.
        threads, rounds, seed: of the latency benchmark.
        store: where finished work lies, shared by all runs.
    """

    original: Variant
    data: Dataset
    shrink: tuple[Stage, ...]
    precisions: tuple[Stage, ...]
    runtimes: tuple[Runtime, ...]
    remarks: tuple[str, ...]
    threads: int
    rounds: int
    seed: int
    store: Path


@dataclass(frozen=True)
class Subject:
    """A variant to be measured, the runtime that runs it, and what it costs: in torch, and in the exported graph."""

    variant: Variant
    runtime: Runtime
    cost: Cost
    graph: GraphCost | None


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
    results = [_measure(plan, subject) for subject in subjects]
    log.info("timing %d variants on %d threads", len(subjects), plan.threads)
    timing = latency.measure([(s.runtime.open, s.variant) for s in subjects], plan.threads, plan.rounds, plan.seed)
    results = [replace(result, latency=time) for result, time in zip(results, timing.latencies, strict=True)]
    return Report(tuple(results), timing.noise, timing.noise_spread, stages)


def _models(plan: Plan) -> tuple[list[Variant], list[dict]]:
    """The original, and the pruned and recovered model if anything was pruned; and what the stages say they did."""
    variant, stages = plan.original, []
    for stage in plan.shrink:
        before, variant = variant, apply(stage, variant, plan.store)
        if variant != before:
            done = json.loads((variant.path.parent / REPORT).read_text())
            stages.append({"stage": type(stage).__name__.lower(), **done})
    return ([plan.original] if variant == plan.original else [plan.original, variant]), stages


def _subjects(plan: Plan, runtime: Runtime, model: Variant, counted: Cost) -> list[Subject]:
    """One model as `runtime` deploys it: in float32, and in every other precision."""
    exported = apply(runtime.export, model, plan.store)
    variants = [exported]
    for precision in plan.precisions:
        made = apply(precision, exported, plan.store)
        if made != exported:
            variants.append(made)
    subjects = []
    for variant in variants:
        graph = runtime.count(variant)  # of what is built, since a built engine has no operators left to count
        _agree(variant, counted, graph)
        subjects.append(Subject(apply(runtime.build, variant, plan.store), runtime, counted, graph))
    return subjects


def _hand_out(variant: Variant, folder: Path) -> Variant:
    """Copy an artefact into the run's folder; the user's own checkpoint stays where it is."""
    if variant.name == "original" and variant.runtime == "torch":
        return variant
    ending = "_openvino_model" if variant.path.is_dir() else variant.path.suffix
    target = folder / "artefacts" / variant.runtime / f"{variant.name}{ending}"
    target.parent.mkdir(parents=True, exist_ok=True)
    (shutil.copytree if variant.path.is_dir() else shutil.copy2)(variant.path, target)
    return replace(variant, path=target)


def _measure(plan: Plan, subject: Subject) -> Result:
    """Everything but the latency, which is measured for all variants together."""
    variant, sha256 = subject.variant, digest(subject.variant.path)

    def validated() -> accuracy.Accuracy:
        session = subject.runtime.open(variant, plan.threads)
        with bar(f"validating {variant.name} on {variant.runtime}", len(plan.data.val)) as tick:
            found = validate(tick(session), plan.data, variant.imgsz)
        log.info("%s on %s: %s %.4f", variant.name, variant.runtime, found.metric, found.score)
        return found

    files = [variant.path] if variant.path.is_file() else [p for p in variant.path.rglob("*") if p.is_file()]
    return Result(
        variant=variant,
        sha256=sha256,
        size_bytes=sum(file.stat().st_size for file in files),
        cost=subject.cost,
        graph=subject.graph,
        accuracy=accuracy.once(plan.store, (sha256, variant.precision, plan.data.fingerprint), validated),
        latency=None,
    )


def _agree(variant: Variant, counted: Cost, graph: GraphCost | None) -> None:
    if graph and abs(graph.ops - counted.flops) > AGREEMENT * counted.flops:
        raise MeasurementError(
            f"{variant.name} on {variant.runtime}: the exported graph has {graph.ops} operations, its model "
            f"{counted.flops}; they must agree within {AGREEMENT:.0%}, so please report this model to us."
        )
