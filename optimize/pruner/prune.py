"""Remove a share of a model's FLOPs by removing whole channels."""

import json
from dataclasses import asdict, dataclass, replace
from math import isclose
from pathlib import Path

from torch import nn

from optimize.errors import InputError, MeasurementError
from optimize.measure.cost import Cost, count
from optimize.pruner.cut import cut
from optimize.pruner.score import Criterion
from optimize.pruner.selection import Selection, select
from optimize.stage import REPORT
from optimize.variant import Variant
from optimize.yolo import coupling
from optimize.yolo.checkpoint import deployed, load, save


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
        target: share of the FLOPs that was asked for.
        reached: share that is gone, counted on the deployed model before and after.
        flops: FLOPs (2 per multiply-add) of one picture through the deployed model, before and after.
        parameters: of the deployed model, before and after.
        ratio: share of the removable channels at which the search ended.
        imgsz, criterion, scope, round_to, max_ratio: the settings.
        layers: every layer, in the order in which they run.
    """

    target: float
    reached: float
    flops: tuple[int, int]
    parameters: tuple[int, int]
    ratio: float
    imgsz: int
    criterion: str
    scope: str
    round_to: int
    max_ratio: float
    layers: tuple[LayerChange, ...]


@dataclass(frozen=True)
class Prune:
    """The stage that prunes a checkpoint.

    Attributes:
        share: of the model's FLOPs to remove, 0 <= share < 1; 0 leaves the model alone.
        criterion: which channels matter.
        scope: `global` ranks the channels of all layers together, `local` removes the same ratio from each.
        round_to: widths become multiples of this.
        max_ratio: no block of coupled layers loses more than this share of its channels.
    """

    share: float
    criterion: Criterion
    scope: str = "global"
    round_to: int = 16
    max_ratio: float = 0.75

    def __post_init__(self):
        if not 0 <= self.share < 1:
            raise InputError(
                f"prune={self.share:g} is out of range, allowed is 0 <= prune < 1; give the share of FLOPs to remove."
            )
        if self.scope not in ("global", "local"):
            raise InputError(f"pruner.scope={self.scope} is unknown, allowed are global and local; give one of them.")
        if self.round_to < 1:
            raise InputError(
                f"pruner.round_to={self.round_to} is out of range, allowed is 1 or more; give 8, 16 or 32."
            )
        if not 0 < self.max_ratio < 1:
            raise InputError(
                f"pruner.max_ratio={self.max_ratio:g} is out of range, allowed is 0 < max_ratio < 1; give a share."
            )

    def __call__(self, variant: Variant, folder: Path) -> Variant:
        if self.share == 0:
            return variant
        model = load(variant.path)
        report = prune(model, variant.imgsz, self.share, self.criterion, self.scope, self.round_to, self.max_ratio)
        save(model, folder / "pruned.pt")
        (folder / REPORT).write_text(json.dumps(asdict(report), indent=2))
        return replace(variant, path=folder / "pruned.pt", tags=(*variant.tags, "pruned"))


def prune(
    model: nn.Module,
    imgsz: int,
    share: float,
    criterion: Criterion,
    scope: str = "global",
    round_to: int = 16,
    max_ratio: float = 0.75,
) -> Report:
    """Remove `share` of the FLOPs of `model` at `imgsz` x `imgsz` pixels, in place.

    What is left is made of the same ultralytics modules. FLOPs are those of the deployed graph: fused, with one head.

    Raises:
        TargetOutOfReach: the share can't be reached; names the largest that can.
        MeasurementError: the FLOPs counted afterwards are not those that were calculated.
    """
    before = count(deployed(model), imgsz)
    chosen = select(model, before, imgsz, share, criterion, scope, round_to, max_ratio)
    cut(model, chosen.trace.uses, chosen.removed())
    coupling.refresh(model)
    after = count(deployed(model), imgsz)
    if not isclose(after.flops, chosen.flops, rel_tol=1e-3):
        raise MeasurementError(
            f"The pruned model has {after.flops / 1e9:.4f} GFLOPs where {chosen.flops / 1e9:.4f} were calculated, "
            "so neither can be trusted; please report this model."
        )
    return Report(
        target=share,
        reached=1 - after.flops / before.flops,
        flops=(before.flops, after.flops),
        parameters=(before.parameters, after.parameters),
        ratio=chosen.ratio,
        imgsz=imgsz,
        criterion=repr(criterion),
        scope=scope,
        round_to=round_to,
        max_ratio=max_ratio,
        layers=_layers(chosen, before, after, coupling.unfused_names(model)),
    )


def _layers(chosen: Selection, before: Cost, after: Cost, names: dict[str, str]) -> tuple[LayerChange, ...]:
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
                    dense="" if len(gone) else reason or "its channels matter more than those that were removed",
                )
            )
    return tuple(changes)
