"""Remove a share of a model's FLOPs by removing whole channels."""

import time
from copy import deepcopy
from dataclasses import dataclass, field, replace
from math import isclose
from pathlib import Path

from torch import nn

from optimize.errors import MeasurementError
from optimize.identity import identity
from optimize.input_size import Size
from optimize.measure.cost import Cost
from optimize.measure.operations import count
from optimize.pruner.budget import Goal
from optimize.pruner.latency.by_time import select_by_time
from optimize.pruner.scan import read
from optimize.pruner.selection import Selection, counted, narrow, select
from optimize.pruner.sensitivity import Sensitivities
from optimize.pruner.settings import LATENCY, Pruning
from optimize.pruner.size import amount
from optimize.store.apply import write_report
from optimize.variant import Variant
from optimize.work import LayerChange, Pruned
from optimize.yolo import coupling
from optimize.yolo.checkpoint import deployed, load, save
from optimize.yolo.depth import name_after
from optimize.yolo.widths import STOP, is_pruned, stop_stock_training


@dataclass(frozen=True)
class Prune:
    """The stage that prunes a checkpoint; with the scope `measured` it must be one that `Scan` left.

    Attributes:
        settings: how to prune.
        stop: the sentence with which stock training refuses the checkpoint that is written.
    """

    settings: Pruning
    stop: str = field(default=STOP, init=False)

    def __call__(self, variant: Variant, folder: Path) -> Variant:
        if self.settings.share == 0:
            return variant
        model = load(variant.path)
        scanned = read(variant) if self.settings.scope == "measured" else None
        report = prune(model, variant.imgsz, self.settings, scanned)
        if any(kept < full for full, kept in (layer.width for layer in report.layers)) or is_pruned(model):
            stop_stock_training(model)
        save(model, folder / "pruned.pt")
        write_report(report, folder)
        tags = variant.tags if "pruned" in variant.tags else (*variant.tags, "pruned")
        return replace(variant, path=folder / "pruned.pt", tags=tags)


def prune(model: nn.Module, imgsz: Size, settings: Pruning, scanned: Sensitivities | None = None) -> Pruned:
    """Prune `model` for an input of `imgsz`, in place.

    The pruned model consists of the same ultralytics modules. FLOPs are those of the deployed graph: fused, one head.

    Args:
        scanned: what `Scan` measured of `model`, for the scope `measured` and no other.

    Raises:
        TargetOutOfReach: the share can't be reached; the sentence states the largest that can.
        InputError: a protected name matches no layer.
        MeasurementError: the count of the pruned model differs from the calculated one, or `scanned` is of another
            model.
    """
    if (settings.scope == "measured") != (scanned is not None):
        raise ValueError("`prune` gets a scan for the scope `measured`, and for no other")
    if (settings.target == LATENCY) != (settings.deployment is not None):
        raise ValueError("`prune` gets a deployment for the target `latency`, and for no other")
    began = time.perf_counter()
    before = count(deployed(model), imgsz)
    original = load(settings.original) if settings.original else deepcopy(model)
    by_time = None
    if settings.deployment:
        chosen, reached, by_time = select_by_time(model, original, imgsz, settings, settings.deployment, scanned)
        narrow(model, chosen)
    else:
        chosen, reached = _cut_by_count(model, original, imgsz, settings, before, scanned)
    after = count(deployed(model), imgsz)
    return Pruned(
        target=settings.target,
        asked=settings.share,
        reached=reached,
        flops=(before.flops, after.flops),
        parameters=(before.parameters, after.parameters),
        ratio=chosen.ratio,
        seconds=round(time.perf_counter() - began, 1),
        imgsz=imgsz,
        criterion=identity(settings.criterion),
        scope=settings.scope,
        round_to=settings.round_to,
        max_ratio=settings.max_ratio,
        min_width=settings.min_width,
        protect=settings.protect,
        layers=_layers(chosen, before, after, coupling.unfused_names(model), settings),
        time=by_time,
    )


def _cut_by_count(
    model: nn.Module,
    original: nn.Module,
    imgsz: Size,
    settings: Pruning,
    before: Cost,
    scanned: Sensitivities | None,
) -> tuple[Selection, float]:
    """Cut `model`, in place, until the share of what is counted is gone; what was chosen, and the share that is gone.

    Args:
        model: the model to cut.
        original: that the share refers to.
        imgsz, settings, scanned: as in `prune`.
        before: cost of the deployed form of `model`.
    """
    target = settings.target
    now, whole = (_amount(one, imgsz, target) for one in (model, original))
    sizing = counted(model, before, target, now)
    chosen = select(model, imgsz, settings, Goal(target, whole, settings.share), sizing, scanned)
    narrow(model, chosen)
    left = _amount(model, imgsz, target)
    if not isclose(left, chosen.left, rel_tol=1e-3):
        raise MeasurementError(
            f"The pruned model has {left} {target}, but {chosen.left:.0f} were calculated, so neither number can be "
            "trusted; please report this model."
        )
    return chosen, 1 - left / whole


def _amount(model: nn.Module, imgsz: Size, target: str) -> int:
    fused = deployed(model)
    return amount(target, fused, count(fused, imgsz))


def _layers(
    chosen: Selection, before: Cost, after: Cost, names: dict[str, str], settings: Pruning
) -> tuple[LayerChange, ...]:
    spared = {
        "measured": "narrowing it raises the loss too much for what it saves",
        "global": "its channels have higher scores than those that were removed",
        "local": f"the nearest step of {settings.round_to} is its full width",
    }[settings.scope]
    old, new = ({names.get(layer.name, layer.name): layer for layer in cost.layers} for cost in (before, after))
    changes = []
    for use, gone, reason in zip(chosen.trace.uses, chosen.removed(), chosen.reasons(), strict=True):
        if use.side == "out":
            removed = any(branch.holds(use.layer) for branch in chosen.branches)
            was = old.get(use.layer)
            now = None if removed else new.get(name_after(use.layer, chosen.branches))
            changes.append(
                LayerChange(
                    name=use.layer,
                    width=(len(use.ids), 0 if removed else len(use.ids) - len(gone)),
                    flops=(was.flops if was else 0, now.flops if now else 0),
                    parameters=(was.parameters if was else 0, now.parameters if now else 0),
                    dense="" if len(gone) or removed else reason or spared,
                )
            )
    return tuple(changes)
