"""Remove a share of a model's FLOPs by removing whole channels."""

import json
import time
from dataclasses import asdict, dataclass, field, replace
from math import isclose
from pathlib import Path

from torch import nn

from optimize.data.dataset import Dataset
from optimize.errors import InputError, MeasurementError
from optimize.measure.cost import Cost, count
from optimize.pruner.budget import Goal
from optimize.pruner.cut import cut
from optimize.pruner.score import Criterion
from optimize.pruner.selection import Selection, select
from optimize.pruner.size import TARGETS, amount
from optimize.stage import REPORT
from optimize.variant import Variant
from optimize.yolo import coupling
from optimize.yolo.checkpoint import deployed, load, save

SCOPES = ("measured", "local", "global")


@dataclass(frozen=True)
class LayerChange:
    """One convolution or linear layer before and after.

    Attributes:
        name: of the module, in the unfused model.
        width: output channels, before and after.
        flops: of one picture in the deployed graph, before and after; 0 for a layer that only trains.
        parameters: in the deployed graph, before and after.
        dense: why no channel was removed, or "".
    """

    name: str
    width: tuple[int, int]
    flops: tuple[int, int]
    parameters: tuple[int, int]
    dense: str


@dataclass(frozen=True)
class Report:
    """What pruning did.

    Attributes:
        target: what was to shrink: `flops`, `params` or `channels`.
        asked: share of it that was to be gone, of the original's.
        reached: share that is gone, counted on the deployed models.
        flops: FLOPs (2 per multiply-add) of one picture through the deployed model, before and after this cut.
        parameters: of the deployed model, before and after this cut.
        ratio: share of the removable channels at which the search ended; None for `measured`.
        seconds: how long it took, the criterion's gradients included.
        imgsz, criterion, scope, round_to, max_ratio, min_width, protect: the settings.
        layers: every layer, in the order in which they run.
    """

    target: str
    asked: float
    reached: float
    flops: tuple[int, int]
    parameters: tuple[int, int]
    ratio: float | None
    seconds: float
    imgsz: int
    criterion: str
    scope: str
    round_to: int
    max_ratio: float
    min_width: int
    protect: tuple[str, ...]
    layers: tuple[LayerChange, ...]


@dataclass(frozen=True)
class Prune:
    """The stage that prunes a checkpoint.

    Attributes:
        share: of the original's `target` to remove, 0 <= share < 1; 0 leaves the model alone.
        criterion: which channels matter.
        original: the checkpoint that `share` refers to, where pruning goes in steps; None for the one that is pruned.
            Not in the repr, since every variant's first step is its digest.
        target: what `share` is a share of: `flops`, `params` or `channels`.
        scope: how much each layer loses. `measured`: most where that raises the loss on labelled pictures least;
            `local`: all the same ratio; `global`: what a ranking of all channels says.
        round_to: widths become multiples of this.
        max_ratio: no block of coupled layers loses more than this share of its channels.
        min_width: no layer becomes narrower than this, unless it is already.
        protect: names of layers that keep all their channels, as patterns of `fnmatch`, e.g. `model.22.*`.
        steps: how many times the pipeline prunes and recovers until `share` is gone.
        data: whose training pictures `measured` looks at; None for the other scopes.
        images: how many of them.
        seed: which of them.
    """

    share: float
    criterion: Criterion
    original: Path | None = field(default=None, repr=False)
    target: str = "flops"
    scope: str = "local"
    round_to: int = 16
    max_ratio: float = 0.75
    min_width: int = 8
    protect: tuple[str, ...] = ()
    steps: int = 1
    data: Dataset | None = None
    images: int = 32
    seed: int = 0

    def __post_init__(self):
        _require(0 <= self.share < 1, f"prune={self.share:g}", "0 <= prune < 1; give the share to remove")
        _require(self.target in TARGETS, f"pruner.target={self.target}", " or ".join(TARGETS))
        _require(self.scope in SCOPES, f"pruner.scope={self.scope}", " or ".join(SCOPES))
        if self.scope == "measured" and self.data is None:
            raise InputError("pruner.scope=measured needs labelled pictures; give data, or pruner.scope=local.")
        _require(self.round_to >= 1, f"pruner.round_to={self.round_to}", "1 or more; give 8, 16 or 32")
        _require(0 < self.max_ratio < 1, f"pruner.max_ratio={self.max_ratio:g}", "0 < max_ratio < 1")
        _require(self.min_width >= 1, f"pruner.min_width={self.min_width}", "1 or more")
        _require(self.steps >= 1, f"pruner.steps={self.steps}", "1 or more")
        _require(self.images >= 1, f"pruner.images={self.images}", "1 or more")

    def __call__(self, variant: Variant, folder: Path) -> Variant:
        if self.share == 0:
            return variant
        model = load(variant.path)
        report = prune(model, variant.imgsz, self)
        save(model, folder / "pruned.pt")
        (folder / REPORT).write_text(json.dumps(asdict(report), indent=2))
        tags = variant.tags if "pruned" in variant.tags else (*variant.tags, "pruned")
        return replace(variant, path=folder / "pruned.pt", tags=tags)


def prune(model: nn.Module, imgsz: int, settings: Prune) -> Report:
    """Prune `model` at `imgsz` x `imgsz` pixels, in place.

    What is left is made of the same ultralytics modules. FLOPs are those of the deployed graph: fused, with one head.

    Raises:
        TargetOutOfReach: the share can't be reached; names the largest that can.
        InputError: a protected name fits no layer.
        MeasurementError: what is counted afterwards is not what was calculated.
    """
    began = time.perf_counter()
    now, before = _measured(model, imgsz, settings.target)
    whole = _measured(load(settings.original), imgsz, settings.target)[0] if settings.original else now
    chosen = select(model, imgsz, settings, before, now, Goal(settings.target, whole, settings.share))
    cut(model, chosen.trace.uses, chosen.removed())
    coupling.refresh(model)
    model.zero_grad(set_to_none=True)
    left, after = _measured(model, imgsz, settings.target)
    if not isclose(left, chosen.left, rel_tol=1e-3):
        raise MeasurementError(
            f"The pruned model has {left} {settings.target} where {chosen.left:.0f} were calculated, so neither can be "
            "trusted; please report this model."
        )
    return Report(
        target=settings.target,
        asked=settings.share,
        reached=1 - left / whole,
        flops=(before.flops, after.flops),
        parameters=(before.parameters, after.parameters),
        ratio=chosen.ratio,
        seconds=round(time.perf_counter() - began, 1),
        imgsz=imgsz,
        criterion=repr(settings.criterion),
        scope=settings.scope,
        round_to=settings.round_to,
        max_ratio=settings.max_ratio,
        min_width=settings.min_width,
        protect=settings.protect,
        layers=_layers(chosen, before, after, coupling.unfused_names(model), settings),
    )


def _measured(model: nn.Module, imgsz: int, target: str) -> tuple[int, Cost]:
    fused = deployed(model)
    cost = count(fused, imgsz)
    return amount(target, fused, cost), cost


def _require(holds: bool, given: str, allowed: str) -> None:
    if not holds:
        raise InputError(f"{given} is out of range; allowed is {allowed}.")


def _layers(
    chosen: Selection, before: Cost, after: Cost, names: dict[str, str], settings: Prune
) -> tuple[LayerChange, ...]:
    spared = {
        "measured": "narrowing it raises the loss too much for what it saves",
        "global": "its channels matter more than those that were removed",
        "local": f"the nearest step of {settings.round_to} is its full width",
    }[settings.scope]
    old, new = ({names.get(layer.name, layer.name): layer for layer in cost.layers} for cost in (before, after))
    changes = []
    for use, gone, reason in zip(chosen.trace.uses, chosen.removed(), chosen.reasons(), strict=True):
        if use.side == "out":
            pair = [cost.get(use.layer) for cost in (old, new)]
            changes.append(
                LayerChange(
                    name=use.layer,
                    width=(len(use.ids), len(use.ids) - len(gone)),
                    flops=tuple(layer.flops if layer else 0 for layer in pair),
                    parameters=tuple(layer.parameters if layer else 0 for layer in pair),
                    dense="" if len(gone) else reason or spared,
                )
            )
    return tuple(changes)
