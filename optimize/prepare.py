"""Builds the Plan of a run from its config: loads and checks everything before any work starts."""

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from torch import nn

from optimize import rivals
from optimize.bundle import make as bundle
from optimize.checks import check_fit, check_model, check_room
from optimize.config import build, check_targets, plain, typed
from optimize.data.digits import compose
from optimize.data.selection import limited, separate
from optimize.dataset import Dataset, check_apart
from optimize.deployments import with_deployment
from optimize.device.device import load as load_device
from optimize.errors import InputError, RuntimeUnavailable
from optimize.host.resources import cores
from optimize.input_size import Size, size
from optimize.judge import Judge
from optimize.limits import Limits
from optimize.plan import Plan
from optimize.precision import FP32
from optimize.provenance import gather, versions
from optimize.pruner.prune import Prune
from optimize.pruner.scan import Scan
from optimize.pruner.settings import Pruning
from optimize.quant.bf16 import Bf16
from optimize.quant.cpu import chosen_cpu
from optimize.quant.stage import PrecisionStage
from optimize.recover.finetune import Finetune
from optimize.recover.qat import Qat, unavailable
from optimize.remarks import missing, remarks, without_effect
from optimize.runtime.session import Runtime
from optimize.runtime.torch import Torch
from optimize.settings import Settings
from optimize.stage import Stage
from optimize.store import manifest
from optimize.store.apply import digest
from optimize.store.contents import begin_store, check_store
from optimize.variant import Variant
from optimize.yolo.checkpoint import architecture, check_size, stride, task, usual_size
from optimize.yolo.dataset import resolve
from optimize.yolo.device import check_device
from optimize.yolo.label_cache import keep_in
from optimize.yolo.metric import check_metric, implementation
from optimize.yolo.usable import open_model

log = logging.getLogger(__name__)


def settings_of(config: DictConfig) -> Settings:
    """The keys that belong to no group.

    Raises:
        InputError: one of them is not allowed.
    """
    return typed(Settings, {key: value for key, value in config.items() if not isinstance(value, DictConfig)}, "")


def prepare(config: DictConfig) -> Plan:
    """Build the Plan that `config` describes.

    Raises:
        InputError: an input can't be used, or checkpoint, data and settings do not fit together.
    """
    settings = settings_of(config)
    check_targets(config, settings.trust)
    device = load_device(settings.device_profile) if settings.device_profile else None
    check_store(settings.store)
    check_device(settings.device)
    path, model = open_model(settings.model)
    check_model(f"model={settings.model}", model)
    imgsz = usual_size(model) if settings.imgsz is None else size(settings.imgsz)
    check_size(f"model={settings.model}", model, imgsz)
    data = _data(settings, model)
    check_apart(f"store={settings.store}", settings.store, data)
    check_metric(settings.metric, data)
    check_fit(f"model={settings.model}", model, data, settings.data, "data with the {} that the model was trained on")
    asked, recovery = _chosen(config, "runtime"), _chosen(config, "recover", data=data, original=path)
    usable = _usable(asked)
    if settings.bundle:
        bundle.check(f"model={settings.model}", task(model), usable)
    threads = settings.threads or cores()
    judge = Judge(data, (Torch(), *usable), settings.store, threads, settings.rounds, settings.seed, settings.metric)
    pruning: Pruning = build(config.pruner, "pruner", data=data, original=path)
    cpu = chosen_cpu(pruning.table, device)
    quant: PrecisionStage = build(
        config.quant, "quant", data=data, judge=judge, metric=implementation(settings.metric), cpu=cpu
    )
    precisions = (Bf16(judge), quant)
    others = _rivals(settings, imgsz, data, [stage.precision.name for stage in precisions])
    check_room(settings.store, path, [rival.path for rival in others or ()])
    pruning = with_deployment(
        pruning,
        model,
        imgsz,
        usable,
        precisions,
        quant.precision.name,
        threads,
        settings.store,
        cpu,
    )
    no_effect = without_effect(settings, recovery, asked, quant)
    for line in no_effect:
        log.info(line)
    return Plan(
        original=start(path, imgsz),
        data=data,
        shrink=shrink(pruning, recovery),
        precisions=precisions,
        quant=None if quant.precision == FP32 else quant.precision.name,
        qat=_rescue(settings, data, recovery),
        runtimes=usable,
        judge=judge,
        store=settings.store,
        provenance=gather(
            plain(config, resolve=True),
            data,
            imgsz,
            stride(model),
            threads,
            (*data.remarks, *remarks(settings, model, asked, quant), *no_effect),
            implementation(settings.metric),
        ),
        rivals=others,
        train_rivals=settings.train_rivals,
        limits=typed(Limits, config.limits, "limits"),
        device=device,
    )


def _data(settings: Settings, model: nn.Module) -> Dataset:
    """The data set of `model`; warnings about images that are left out are logged at once."""
    if settings.data == "digits":
        begin_store(settings.store)
    keep_in(
        settings.store if manifest.read(settings.store) else None
    )  # nothing is written before everything is checked
    given = str(compose(settings.store)) if settings.data == "digits" else settings.data
    trained: Any = model.args  # to torch, any attribute of a module may be a tensor
    data = resolve(given, task(model), bool(trained.get("single_cls")), settings.selection == "auto")
    if settings.selection == "auto":
        data = separate(data)
    if settings.val_images:
        data = limited(data, settings.val_images)
    for warning in (*(left_out.sentence for left_out in data.left_out), *data.remarks):
        log.warning(warning)
    return data


def runtimes(config: dict[str, Any]) -> list[Runtime]:
    """Every runtime that a run with this configuration may have used.

    Raises:
        InputError: the configuration, which may come from others, names a class that importing could run code of.
    """
    made = OmegaConf.create(config)
    check_targets(made, made.get("trust", False))
    return [Torch(), *_chosen(made, "runtime")]


def start(path: Path, imgsz: Size) -> Variant:
    """The original as a variant; its identity includes the versions of libraries, which affect results."""
    return Variant(path, "torch", "fp32", imgsz, steps=(digest(path), f"imgsz={imgsz}", str(versions())))


def _rivals(settings: Settings, imgsz: Size, data: Dataset, precisions: Sequence[str]) -> tuple[Variant, ...] | None:
    """The checkpoints to compare with, each checked to be for the model's task, input size and classes."""
    if settings.rivals is None:
        return None
    files = []
    for rival in settings.rivals:
        given = f"rivals={rival}"
        path, model = open_model(rival, "rivals")
        check_model(given, model)
        if task(model) != data.task:
            raise InputError(
                f"{given} is a {task(model)} model, model={settings.model} a {data.task} model; "
                "give rivals of the same task."
            )
        check_size(given, model, imgsz)
        check_fit(given, model, data, settings.data, "rivals that were trained on the same {}")
        files.append((path, architecture(model)))
    named = zip(files, rivals.names(files, precisions), strict=True)
    return tuple(replace(start(path, imgsz), tags=(name,)).after(name) for (path, _), name in named)


def _chosen(config: DictConfig, group: str, **objects: Any) -> list[Any]:
    """Build the chosen options of a group that takes a list; `recover=[]` leaves no node in the config."""
    return [build(node, f"{group}.{name}", **objects) for name, node in config.get(group, {}).items()]


def _rescue(settings: Settings, data: Dataset, recovery: list[Stage]) -> Qat | None:
    """The stage that trains a model for int8 if int8 loses too much; None where training is off or chosen already."""
    chosen = any(isinstance(stage, Qat) for stage in recovery)
    if not settings.epochs or chosen or unavailable():
        return None
    return Qat(data, settings.epochs, settings.batch, settings.device, settings.seed)


def _usable(runtimes: list[Runtime]) -> tuple[Runtime, ...]:
    """The runtimes that can run on this machine.

    Raises:
        RuntimeUnavailable: none of the requested ones can; a run with torch alone would be of no use.
    """
    reasons = missing(runtimes)
    usable = tuple(runtime for runtime in runtimes if runtime.info.name not in reasons)
    if runtimes and not usable:
        raise RuntimeUnavailable(
            f"runtime=[{','.join(r.info.name for r in runtimes)}] can't be used on this machine: "
            f"{', '.join(reasons.values())}; install what is missing or give another runtime."
        )
    return usable


def shrink(pruning: Pruning, recovery: list[Stage]) -> tuple[Stage, ...]:
    """The stages that prune in `pruning.steps` equal cuts, each with its share of the epochs; QAT runs once, last.

    Where layers are chosen by what is measured, that is a stage of its own before each cut, which all shares share.
    """
    stages: list[Stage] = []
    qat = [stage for stage in recovery if isinstance(stage, Qat)]
    for step in range(1, pruning.steps + 1):
        if pruning.scope == "measured" and pruning.share and pruning.data is not None:
            stages.append(Scan(pruning.criterion, pruning.data, pruning.images, pruning.seed, pruning.device))
        stages.append(Prune(replace(pruning, share=pruning.share * step / pruning.steps)))
        stages += [_part(stage, step, pruning.steps) for stage in recovery if stage not in qat]
    return (*stages, *qat)


def _part(stage: Stage, step: int, steps: int) -> Stage:
    """The recovery stage after one of several cuts; a training gets its share of the epochs."""
    if not isinstance(stage, Finetune):
        return stage
    done = [stage.epochs * i // steps for i in (step - 1, step)]
    return replace(stage, epochs=done[1] - done[0])
