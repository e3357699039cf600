"""Every variant of a run, made: the models, then each of them in every runtime and precision."""

import logging
from dataclasses import dataclass, replace

from optimize import rivals
from optimize.errors import MeasurementError
from optimize.failures import record_failure
from optimize.input_size import Size
from optimize.measure import operations
from optimize.measure.cost import Cost
from optimize.measure.graph_cost import GraphCost
from optimize.plan import Plan
from optimize.precision import FP32, Precision
from optimize.quant.int8 import Int8
from optimize.quant.stage import PrecisionStage
from optimize.recover.finetune import Finetune
from optimize.recover.rival import TrainRival
from optimize.result import Failure
from optimize.runtime.session import Runtime
from optimize.runtime.torch import Torch
from optimize.runtime_info import RuntimeInfo
from optimize.store.apply import apply, report_of
from optimize.variant import NMS_FREE, Variant
from optimize.work import Done, Quantized, Work
from optimize.yolo.checkpoint import deployed, load

log = logging.getLogger(__name__)

AGREEMENT = 0.01  # two independent counts of the same operations may differ by this share, and not by more


@dataclass(frozen=True)
class Model:
    """A checkpoint that every runtime deploys, and what it costs."""

    variant: Variant
    cost: Cost
    rival: bool = False


@dataclass(frozen=True)
class Subject:
    """A variant to be measured.

    Attributes:
        variant: what is deployed.
        model: that it was made of.
        runtime, precision: what the report must know of them.
        graph: what its graph costs; None for a checkpoint.
        quantization: what the stage that quantized it says.
    """

    variant: Variant
    model: Model
    runtime: RuntimeInfo
    precision: Precision
    graph: GraphCost | None
    quantization: Quantized | None


def variants(plan: Plan, failures: list[Failure]) -> tuple[list[Subject], tuple[Work, ...]]:
    """All of them, runtime by runtime, the original in torch first; and what the stages of the pruned model say.

    What fails for one variant is added to `failures`, and the others are made.

    Raises:
        OptimizeError: a stage that makes the pruned model can't do what was asked.
    """
    made, stages = _models(plan)
    models = [_model(variant) for variant in made]
    others = _rivals(plan, models, failures)
    if plan.nms_free:
        models += [_model(apply(plan.nms_free, variant, plan.store)) for variant in made]
    models += others
    runtimes = (Torch(), *plan.runtimes)
    subjects = [s for runtime in runtimes for model in models for s in _subjects(plan, runtime, model, failures)]
    return subjects, stages


def original(plan: Plan) -> Subject:
    """The original in torch, with which all others are compared."""
    return _subject(plan, Torch(), plan.original, _model(plan.original), FP32)


def at_size(plan: Plan, runtime: str, precision: str, size: Size) -> Subject:
    """The original at another input, as `runtime` deploys it in `precision`: a rival."""
    return deployed_rival(plan, runtime, precision, rivals.at_size(plan.original, size))


def trained_as_long(plan: Plan, runtime: str, precision: str, size: Size) -> Subject:
    """As `at_size`, and trained at this input for as many epochs as the pruned model."""
    rival = rivals.at_size(plan.original, size)
    stage = TrainRival.like([stage for stage in plan.shrink if isinstance(stage, Finetune)])
    return deployed_rival(plan, runtime, precision, apply(stage, rival, plan.store))


def deployed_rival(plan: Plan, runtime_name: str, precision: str, variant: Variant) -> Subject:
    """`variant`, a checkpoint that could be taken instead, as it is deployed in this runtime and precision."""
    runtime = next(runtime for runtime in plan.runtimes if runtime.info.name == runtime_name)
    model = replace(_model(variant), rival=True)
    exported = apply(runtime.export, variant, plan.store)
    if precision == FP32.name:
        return _subject(plan, runtime, exported, model, FP32)
    stage = next(stage for stage in plan.precisions if stage.precision.name == precision)
    return _subject(plan, runtime, apply(stage, exported, plan.store), model, stage.precision)


def _model(variant: Variant) -> Model:
    return Model(variant, operations.count(deployed(load(variant.path)), variant.imgsz))


def _models(plan: Plan) -> tuple[list[Variant], tuple[Work, ...]]:
    """The original, and the pruned and recovered model if anything was changed; and what the stages say they did."""
    variant, shrink, stages = plan.original, plan.shrink, list[Work]()
    if plan.mix:
        mixed = plan.mix.choose(plan.original)
        stages.append(mixed)
        variant = plan.mix.start(plan.original, mixed.imgsz)
        shrink = plan.mix.stages(mixed.deployment, mixed.share, mixed.trained, plan.original.imgsz)
    for stage in shrink:
        before, variant = variant, apply(stage, variant, plan.store)
        if variant != before:
            stages.append(report_of(variant) or Done(type(stage).__name__.lower()))
    return ([plan.original] if variant == plan.original else [plan.original, variant]), tuple(stages)


def _rivals(plan: Plan, models: list[Model], failures: list[Failure]) -> list[Model]:
    """The original at the input that costs as much as the pruned model and at the rectangle that the images fill.

    And the checkpoints that the user named.
    """
    if plan.rivals is None:
        return []
    found, (original, last) = [], (models[0], models[-1])
    if last.cost.flops < original.cost.flops:
        with record_failure(failures, "smaller input", "torch"):
            same = rivals.smaller(original.variant, last.cost.flops)
            if same is not None:
                variant, its_cost = same
                found.append(Model(variant, its_cost, rival=True))
    with record_failure(failures, "rectangle", "torch"):
        filled = rivals.rectangle(original.variant, plan.data.shape)
        if filled is not None:
            found.append(replace(_model(filled), rival=True))
    own = {model.variant.name for model in models}  # an input that was chosen for a limit of time is no rival
    found = [model for model in found if model.variant.name not in own]
    for rival in plan.rivals:
        with record_failure(failures, rival.name, "torch"):
            found.append(Model(rival, operations.count(deployed(load(rival.path)), rival.imgsz), rival=True))
    return found


def _subjects(plan: Plan, runtime: Runtime, model: Model, failures: list[Failure]) -> list[Subject]:
    """One model as `runtime` deploys it: in float32, and in every other precision."""
    subjects: list[Subject] = []
    name = runtime.info.name
    with record_failure(failures, model.variant.name, name):
        exported = apply(runtime.export, model.variant, plan.store)
        subjects.append(_subject(plan, runtime, exported, model, FP32))
    for stage in plan.precisions if subjects else ():
        tags = (*model.variant.tags, stage.precision.name)
        with record_failure(failures, replace(model.variant, tags=tags).name, name):
            variant = _in_precision(plan, stage, runtime, model, exported)
            if variant != exported:
                subjects.append(_subject(plan, runtime, variant, model, stage.precision))
    return subjects


def _subject(plan: Plan, runtime: Runtime, variant: Variant, model: Model, precision: Precision) -> Subject:
    graph = runtime.count(variant)  # of what is built, since a built engine has no operators left to count
    _agree(variant, model.cost, graph)
    return Subject(plan.judge.built(variant), model, runtime.info, precision, graph, _quantization(variant, precision))


def _quantization(variant: Variant, precision: Precision) -> Quantized | None:
    work = None if precision == FP32 else report_of(variant)
    return work if isinstance(work, Quantized) else None


def _in_precision(plan: Plan, stage: PrecisionStage, runtime: Runtime, model: Model, exported: Variant) -> Variant:
    """`exported` in another precision; where int8 loses too much, the better of it and one trained for int8.

    A rival is taken as it is, and never trained; nor is a model without the one-to-many head, as training needs both.
    """
    made = apply(stage, exported, plan.store)
    if model.rival or NMS_FREE in model.variant.tags or plan.qat is None or not isinstance(stage, Int8):
        return made
    work = _quantization(made, stage.precision)
    if made == exported or work is None or work.reached:
        return made
    log.info("%s on %s lost more than allowed: training the model for int8", made.name, made.runtime)
    trained = apply(runtime.export, apply(plan.qat, model.variant, plan.store), plan.store)
    again = apply(replace(stage, reference=exported), trained, plan.store)
    return max(made, again, key=lambda variant: plan.judge.choice_score(variant).score)


def _agree(variant: Variant, counted: Cost, graph: GraphCost | None) -> None:
    if graph and abs(graph.ops - counted.flops) > AGREEMENT * counted.flops:
        raise MeasurementError(
            f"{variant.name} on {variant.runtime}: the exported graph has {graph.ops} operations, its model "
            f"{counted.flops}; they must agree within {AGREEMENT:.0%}, so please report this model to us."
        )
