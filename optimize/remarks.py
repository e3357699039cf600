"""What a reader of the report must know besides its figures, as far as it is known before any work starts."""

import shlex
from collections.abc import Sequence

from torch import nn

from optimize.errors import InputError
from optimize.host.resources import cores
from optimize.host.state import quota
from optimize.precision import FP32
from optimize.quant.cpu import describe_cpu
from optimize.quant.int8 import Int8
from optimize.quant.stage import PrecisionStage
from optimize.recover.finetune import Finetune
from optimize.recover.qat import Qat
from optimize.runtime.session import Runtime
from optimize.settings import FLOAT32, Settings
from optimize.stage import Stage
from optimize.yolo.widths import parameters_of_yaml


def remarks(
    settings: Settings, model: nn.Module, runtimes: Sequence[Runtime], quant: PrecisionStage
) -> tuple[str, ...]:
    """Sentences about the model, the data and this machine."""
    synthetic = ["The images are synthetic: handwritten digits composed on crops of photographs."]
    return (
        *_pruned_before(settings.model, model),
        *(synthetic if settings.data == "digits" else []),
        *_quota(settings),
        *([describe_cpu(quant.cpu)] if isinstance(quant, Int8) else []),
        *(f"{name} was left out: {reason}." for name, reason in missing(runtimes).items()),
    )


def _quota(settings: Settings) -> list[str]:
    threads, most = settings.threads or cores(), quota()
    if most is None or most >= threads:
        return []
    return [
        f"This process may use {most:.3g} cores by its CPU quota (cgroup), fewer than its {threads} threads: it is "
        "stopped whenever they use more, and then latencies are too long; give fewer threads=, or raise the quota."
    ]


def missing(runtimes: Sequence[Runtime]) -> dict[str, str]:
    """The reason by name for each runtime that can't be used on this machine."""
    reasons = ((runtime.info.name, runtime.unavailable()) for runtime in runtimes)
    return {name: reason for name, reason in reasons if reason is not None}


def without_effect(
    settings: Settings, recovery: Sequence[Stage], runtimes: Sequence[Runtime], quant: PrecisionStage
) -> list[str]:
    """A sentence for everything that was asked for and will change nothing."""
    return [
        *_recovery_without_effect(settings, recovery),
        *_no_files(runtimes, quant),
        *_rivals_without_effect(settings, recovery),
        *_bundle_without_effect(settings),
        *_streams_without_effect(settings),
    ]


def _recovery_without_effect(settings: Settings, recovery: Sequence[Stage]) -> list[str]:
    training = any(isinstance(stage, Finetune) for stage in recovery)
    for_int8 = any(isinstance(stage, Qat) for stage in recovery)
    sentences = []
    if settings.prune == 0 and training and settings.epochs:
        keys = f"model={settings.model}", f"data={settings.data}", f"epochs={settings.epochs}"
        sentences.append(
            "Nothing is trained, since finetune and distill recover accuracy after pruning and prune=0 prunes nothing; "
            f"`{shlex.join(['python', '-m', 'optimize.train', *keys])}` continues training the checkpoint."
        )
    elif settings.prune == 0 and len(recovery) > for_int8:
        sentences.append("Nothing is recovered, since prune=0 prunes nothing.")
    elif training and not settings.epochs:
        sentences.append("Nothing is trained after pruning, since epochs=0.")
    if for_int8 and not settings.epochs:
        sentences.append("Nothing is trained for int8 (recover=qat), since epochs=0.")
    return sentences


def _bundle_without_effect(settings: Settings) -> list[str]:
    if settings.bundle or settings.bundle_input == FLOAT32:
        return []
    return [f"bundle_input={settings.bundle_input} changes nothing, since bundle=false makes no bundle."]


def _streams_without_effect(settings: Settings) -> list[str]:
    if settings.batches or settings.streams == (1,):
        return []
    counts = ",".join(map(str, settings.streams))
    return [f"streams=[{counts}] changes nothing, since batches=[] measures no throughput."]


def _rivals_without_effect(settings: Settings, recovery: Sequence[Stage]) -> list[str]:
    trains = settings.prune != 0 and any(isinstance(stage, Finetune) and stage.epochs for stage in recovery)
    if not settings.train_rivals or (trains and settings.rivals is not None):
        return []
    why = "rivals=none measures none" if settings.rivals is None else "the pruned model, which they follow, is not"
    return [f"No rival is trained (train_rivals=true), since {why}."]


def _no_files(runtimes: Sequence[Runtime], quant: PrecisionStage) -> list[str]:
    precision = quant.precision.name
    if quant.precision != FP32 and not runtimes:
        return [f"There is no {precision} file: runtime=[] exports nothing, and torch runs the checkpoint in float32."]
    reasons = {runtime.info.name: quant.why_not(runtime) for runtime in runtimes}
    return [f"{name} gets no {precision} file: {reason}." for name, reason in reasons.items() if reason is not None]


def _pruned_before(called: str, model: nn.Module) -> list[str]:
    try:
        has, full = parameters_of_yaml(model)
    except InputError as error:
        return [f"model={called}: {error} So it is not known whether it was pruned before."]
    if has >= full:
        return []
    return [
        f"model={called} was pruned before: it has {has / 1e6:.2f} M of the {full / 1e6:.2f} M parameters that "
        "its yaml describes; prune= is relative to the parameters that it has."
    ]
