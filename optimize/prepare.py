"""Builds the Plan of a run from its config: loads and checks everything before any work starts."""

import logging
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from torch import nn

from optimize import rivals
from optimize.bundle import make as bundle
from optimize.checks import check_batches, check_fit, check_frame, check_heads, check_model, check_room
from optimize.config import build, check_targets, plain, typed
from optimize.data.digits import compose
from optimize.data.selection import limited, separate
from optimize.dataset import Dataset, check_apart
from optimize.deployments import allowed_ways, ways, with_deployment
from optimize.device.device import load as load_device
from optimize.errors import InputError, RuntimeUnavailable
from optimize.frame.size import frame_size
from optimize.host.resources import cores
from optimize.input_size import Size, size
from optimize.judge import Judge
from optimize.limits import Limits
from optimize.mix.mix import Mix
from optimize.nms_free import NmsFree
from optimize.plan import Plan
from optimize.precision import FP32
from optimize.provenance import gather, versions
from optimize.pruner.settings import LATENCY, Pruning
from optimize.pruner.size import TARGETS
from optimize.quant.bf16 import Bf16
from optimize.quant.cpu import chosen_cpu
from optimize.quant.stage import PrecisionStage
from optimize.recover.qat import Qat, unavailable
from optimize.remarks import missing, remarks, without_effect
from optimize.runtime.session import Runtime
from optimize.runtime.torch import Torch
from optimize.settings import Settings
from optimize.shrink import shrink
from optimize.stage import Stage
from optimize.store import manifest
from optimize.store.apply import digest
from optimize.store.contents import begin_store, check_store
from optimize.variant import Variant
from optimize.yolo.cache_folder import keep_in
from optimize.yolo.checkpoint import architecture, check_size, stride, task, usual_size
from optimize.yolo.dataset import resolve
from optimize.yolo.device import check_device
from optimize.yolo.metric import check_metric, implementation
from optimize.yolo.usable import open_model

log = logging.getLogger(__name__)


def settings_of(config: DictConfig) -> Settings:
    """The keys that belong to no group.

    Raises:
        InputError: one of them is not allowed.
    """
    own = {key: value for key, value in config.items() if key != "limits" and not isinstance(value, DictConfig)}
    return typed(Settings, own, "")


def prepare(config: DictConfig, words: Sequence[str] = ()) -> Plan:
    """Build the Plan that `config` describes; `words` are those of a command that repeats it, for the report.

    Raises:
        InputError: an input can't be used, or checkpoint, data and settings do not fit together.
    """
    settings = settings_of(config)
    check_targets(config, settings.trust)
    limits = _limits(config.limits)
    limit = _limit_to_meet(config, settings, limits)
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
    _check_extras(settings, limits, model, usable)
    judge = _judge(settings, data, usable)
    pruner = config.pruner if limit is None else _without_share(config)
    pruning: Pruning = build(pruner, "pruner", data=data, original=path)
    cpu = chosen_cpu(pruning.table, device)
    quant: PrecisionStage = build(
        config.quant, "quant", data=data, judge=judge, metric=implementation(settings.metric), cpu=cpu
    )
    precisions = (Bf16(judge), quant)
    others = _rivals(settings, imgsz, data, [stage.precision.name for stage in precisions])
    check_room(settings.store, path, [rival.path for rival in others or ()])
    places = ways(usable, precisions, judge.threads, settings.store, cpu)
    mix = None
    if limit is not None:
        allowed = allowed_ways(pruning, places, model, imgsz).values()
        mix = Mix(limit, pruning, tuple(recovery), tuple(allowed), data, judge)
    no_effect = without_effect(settings, recovery, asked, quant)
    for line in no_effect:
        log.info(line)
    return Plan(
        original=start(path, imgsz),
        data=data,
        shrink=shrink(with_deployment(pruning, places, model, imgsz, quant.precision.name), recovery),
        mix=mix,
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
            judge.threads,
            (*data.remarks, *remarks(settings, model, asked, quant), *no_effect),
            implementation(settings.metric),
            words,
        ),
        rivals=others,
        train_rivals=settings.train_rivals,
        limits=limits,
        device=device,
        batches=settings.batches,
        streams=settings.streams,
        nms_free=None if settings.nms is None else NmsFree(),
    )


def _limits(given: Any) -> Limits:
    if not isinstance(given, DictConfig):
        shown = "null" if given is None else given
        raise InputError(
            f"limits={shown} is not allowed; give one of its keys, e.g. limits.latency_ms=20, or leave it out."
        )
    return typed(Limits, given, "limits")


def _check_extras(settings: Settings, limits: Limits, model: nn.Module, usable: Sequence[Runtime]) -> None:
    """Check that the model and the runtimes have what is asked for beside the report's rows.

    Raises:
        InputError: they don't.
    """
    given = f"model={settings.model}"
    check_heads(settings.nms, given, model)
    check_frame(settings.frame, limits, given, task(model))
    check_batches(settings.batches, usable)
    if settings.bundle:
        bundle.check(given, task(model), usable, settings.bundle_input)


def _judge(settings: Settings, data: Dataset, usable: Sequence[Runtime]) -> Judge:
    return Judge(
        data,
        (Torch(), *usable),
        settings.store,
        settings.threads or cores(),
        settings.rounds,
        settings.seed,
        settings.metric,
        frame=frame_size(settings.frame),
    )


def _limit_to_meet(config: DictConfig, settings: Settings, limits: Limits) -> float | None:
    """With prune=null the milliseconds that input, widths, blocks and precision are chosen for; None for a share.

    Raises:
        InputError: there is no such limit, or the target is another.
    """
    if settings.prune is not None:
        return None
    if limits.latency_ms is None:
        raise InputError(
            "prune=null chooses input, widths, blocks and precision for a limit of time, and there is none; give "
            "limits.latency_ms, e.g. 20, or a share to prune, e.g. prune=0.3."
        )
    if config.pruner.target not in (TARGETS[0], LATENCY):
        raise InputError(
            f"pruner.target={config.pruner.target} can't be combined with prune=null, whose target is "
            "limits.latency_ms; leave pruner.target out, or give prune a share."
        )
    return limits.latency_ms


def _without_share(config: DictConfig) -> DictConfig:
    """The settings of the pruner with a share of 0, until one is chosen for a limit of time."""
    changed = deepcopy(config)
    changed.pruner.update(share=0.0, target=LATENCY)
    node: DictConfig = changed.pruner
    return node


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


def dataset(config: dict[str, Any]) -> Dataset:
    """The data set of a run with this configuration.

    Raises:
        InputError: the data or the model can't be used any more.
    """
    settings = settings_of(OmegaConf.create(config))
    return _data(settings, open_model(settings.model)[1])


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
