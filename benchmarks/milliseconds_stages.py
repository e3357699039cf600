"""The stages of `milliseconds.py` that a run has none of: a cut of FLOPs to a time, and ultralytics' own int8."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from torch import nn

from optimize.dataset import Dataset
from optimize.errors import TargetOutOfReach
from optimize.identity import OUTSIDE
from optimize.input_size import Size
from optimize.measure.operations import count
from optimize.pruner.budget import Goal
from optimize.pruner.latency.deployment import Deployment
from optimize.pruner.latency.fit import Fit, fit
from optimize.pruner.latency.make import samples_of
from optimize.pruner.latency.networks import traced
from optimize.pruner.latency.predict import PredictedLatency
from optimize.pruner.latency.target import aim, stopwatch
from optimize.pruner.latency.timing import Timed
from optimize.pruner.prune import Prune
from optimize.pruner.scan import read
from optimize.pruner.selection import Selection, counted, narrow, select
from optimize.pruner.settings import Pruning
from optimize.variant import Variant
from optimize.yolo.checkpoint import deployed, load

HALVINGS = 9  # of the share of FLOPs: to 0.2 % of them


@dataclass(frozen=True)
class CutToTime:
    """Stage: prunes for FLOPs, so many that what remains takes as long as asked, or as near as the widths reach.

    Attributes:
        settings: of the pruning; their share means nothing.
        deployment: where it is timed.
        left: share of the original's time that is to remain.
    """

    settings: Pruning
    deployment: Deployment
    left: float

    def __call__(self, variant: Variant, folder: Path) -> Variant:
        model, imgsz = load(variant.path), variant.imgsz
        fitted = table(model, imgsz, self.deployment)
        whole = predicted(fitted, model, imgsz)
        shares, cut = dict[float, float](), _cutter(variant, self.settings, fitted)

        def choose(gone: float) -> Selection:
            tried = _halved(cut, (1 - gone) * whole)
            shares.update((chosen.left, share) for share, chosen in tried)
            return min((chosen for _, chosen in tried), key=lambda chosen: abs(chosen.left / whole - (1 - gone)))

        with stopwatch(model, imgsz, self.deployment, self.settings.seed) as time:

            def measure(chosen: Selection) -> tuple[float, Timed]:
                narrowed = load(variant.path)
                narrow(narrowed, chosen)
                return time(narrowed)

            best = aim(1 - self.left, whole, choose, measure)
        return Prune(replace(self.settings, share=shares[best.chosen.left]))(variant, folder)


def _cutter(variant: Variant, settings: Pruning, fitted: Fit) -> Callable[[float], Selection]:
    """A function that selects what to keep where a share of the FLOPs goes; its `left` is in predicted milliseconds."""
    model, imgsz, scanned = load(variant.path), variant.imgsz, read(variant)
    cost = count(deployed(model), imgsz)
    sizing = counted(model, cost, "flops", cost.flops)

    def cut(share: float) -> Selection:
        chosen = select(model, imgsz, settings, Goal("flops", cost.flops, share), sizing, scanned)
        kept = np.array([stays.sum() for stays in chosen.keep])
        return replace(chosen, left=float(PredictedLatency(fitted, chosen.trace, chosen.blocks)(kept)))

    return cut


def _halved(cut: Callable[[float], Selection], milliseconds: float) -> list[tuple[float, Selection]]:
    """What was tried to come near a time, each with its share of the FLOPs that goes."""
    low, high, tried = 0.0, 1.0, list[tuple[float, Selection]]()
    for _ in range(HALVINGS):
        share = (low + high) / 2
        try:
            tried.append((share, cut(share)))
        except TargetOutOfReach:
            high = share
            continue
        low, high = (share, high) if tried[-1][1].left > milliseconds else (low, share)
    return tried


def table(model: nn.Module, imgsz: Size, deployment: Deployment) -> Fit:
    """What the layers of `model` take, from the store where it was measured."""
    return fit(samples_of(traced(model, imgsz), imgsz, deployment, seed=0))


def predicted(fitted: Fit, model: nn.Module, imgsz: Size) -> float:
    """Milliseconds of a model with all layers of the table, whatever their widths."""
    return fitted.milliseconds(traced(model, imgsz).full)


@dataclass(frozen=True)
class StockInt8:
    """Stage: ultralytics' own int8 export of the checkpoint that the variant was exported from."""

    data: Dataset
    checkpoint: Variant = field(repr=False, metadata=OUTSIDE)

    def __call__(self, variant: Variant, folder: Path) -> Variant:
        from int8 import RUNTIMES, stock  # here, since it sets torch's threads where nothing has

        runtime = next(runtime for runtime in RUNTIMES if runtime.info.name == variant.runtime)
        path = stock(self.checkpoint, runtime, self.data, folder)
        return replace(variant, path=path, precision="int8", tags=(*variant.tags, "int8"))
