"""`nms=false`: the head that needs no NMS, of models that have two (YOLO10, YOLO26)."""

from dataclasses import dataclass, replace
from pathlib import Path

from optimize.variant import NMS_FREE, Variant
from optimize.yolo.checkpoint import load, save
from optimize.yolo.two_heads import keep_one_to_one


@dataclass(frozen=True)
class NmsFree:
    """Effect: a checkpoint without the one-to-many head, which stock ultralytics runs end to end, without NMS.

    Both heads are trained together, so this comes after all training.
    """

    def __call__(self, variant: Variant, folder: Path) -> Variant:
        model = load(variant.path)
        keep_one_to_one(model)
        target = folder / f"{variant.path.stem}_{NMS_FREE}.pt"
        save(model, target)
        return replace(variant, path=target, tags=(*variant.tags, NMS_FREE))
