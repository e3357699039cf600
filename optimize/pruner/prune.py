"""Remove a share of a model's FLOPs by removing whole channels."""

import json
from dataclasses import asdict, dataclass, replace
from math import isclose
from pathlib import Path

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from optimize.errors import InputError, MeasurementError
from optimize.pruner.cut import cut
from optimize.pruner.plan import Plan, plan
from optimize.pruner.score import Criterion
from optimize.variant import Variant
from optimize.yolo import coupling
from optimize.yolo.checkpoint import deployed, load, save


@dataclass(frozen=True)
class LayerWidth:
    """Output channels of one convolution or linear layer, and why none was removed (or "")."""

    name: str
    before: int
    after: int
    dense: str


@dataclass(frozen=True)
class Report:
    """What pruning did.

    Attributes:
        target: share of the FLOPs that was asked for.
        reached: share that is gone, counted on the fused models before and after.
        flops_before: FLOPs (2 per multiply-add) of one picture through the fused model.
        flops_after: the same after pruning.
        ratio: share of the removable channels that the search settled on.
        channels_removed: share of all convolution outputs that is gone.
    """

    target: float
    reached: float
    flops_before: float
    flops_after: float
    ratio: float
    channels_removed: float
    imgsz: int
    criterion: str
    scope: str
    round_to: int
    max_ratio: float
    layers: tuple[LayerWidth, ...]


@dataclass(frozen=True)
class Prune:
    """The stage that prunes a checkpoint.

    Attributes:
        share: of the model's FLOPs to remove, 0 <= share < 1; 0 leaves the model alone.
        criterion: which channels matter.
        scope: `global` ranks the channels of all layers together, `local` removes the same ratio from each.
        round_to: widths become multiples of this.
        max_ratio: no block loses more than this share of its channels.
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
            raise InputError(f"pruner.scope={self.scope} is unknown; use global or local.")
        if self.round_to < 1:
            raise InputError(f"pruner.round_to={self.round_to} is out of range; use 1 or more, such as 8, 16 or 32.")
        if not 0 < self.max_ratio < 1:
            raise InputError(f"pruner.max_ratio={self.max_ratio:g} is out of range; use a number between 0 and 1.")

    def __call__(self, variant: Variant, folder: Path) -> Variant:
        if self.share == 0:
            return variant
        model = load(variant.path)
        report = prune(model, variant.imgsz, self.share, self.criterion, self.scope, self.round_to, self.max_ratio)
        save(model, folder / "pruned.pt")
        (folder / "report.json").write_text(json.dumps(asdict(report), indent=2))
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
    before = count_flops(model, imgsz)
    chosen = plan(model, imgsz, share, before, criterion, scope, round_to, max_ratio)
    cut(model, chosen.trace.uses, chosen.removed())
    coupling.refresh(model)
    after = count_flops(model, imgsz)
    if not isclose(after, chosen.flops, rel_tol=1e-3):
        raise MeasurementError(
            f"The pruned model has {after / 1e9:.4f} GFLOPs where {chosen.flops / 1e9:.4f} were calculated, "
            "so its FLOPs can't be trusted; please report this model."
        )
    layers = _layers(chosen)
    return Report(
        target=share,
        reached=1 - after / before,
        flops_before=before,
        flops_after=after,
        ratio=chosen.ratio,
        channels_removed=1 - sum(layer.after for layer in layers) / sum(layer.before for layer in layers),
        imgsz=imgsz,
        criterion=repr(criterion),
        scope=scope,
        round_to=round_to,
        max_ratio=max_ratio,
        layers=layers,
    )


def count_flops(model: nn.Module, imgsz: int) -> float:
    """FLOPs (2 per multiply-add) of one picture through the deployed form of `model`, counted by torch."""
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        deployed(model)(torch.zeros(1, 3, imgsz, imgsz, device=next(model.parameters()).device))
    return float(counter.get_total_flops())


def _layers(chosen: Plan) -> tuple[LayerWidth, ...]:
    why: dict[int, str] = {}
    for block, reason in zip(chosen.blocks, chosen.dense, strict=True):
        for part in block.parts:
            why[part.use] = why.get(part.use) or reason
    widths = []
    for index, (use, gone) in enumerate(zip(chosen.trace.uses, chosen.removed(), strict=True)):
        if use.side == "out":
            reason = "" if len(gone) else why[index] or "its channels matter more than those that were removed"
            widths.append(LayerWidth(use.layer, len(use.ids), len(use.ids) - len(gone), reason))
    return tuple(widths)
