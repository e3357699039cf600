"""`nms=false`: the head that needs no NMS, of models that have two (YOLO10, YOLO26)."""

from dataclasses import dataclass, replace
from pathlib import Path

from optimize.variant import Variant
from optimize.yolo.checkpoint import load, save
from optimize.yolo.two_heads import keep_one_to_one

TAG = "nms-free"


@dataclass(frozen=True)
class NmsFree:
    """Effect: a checkpoint without the one-to-many head, which stock ultralytics runs end to end, without NMS.

    Both heads are trained together, so this comes after all training.
    """

    def __call__(self, variant: Variant, folder: Path) -> Variant:
        model = load(variant.path)
        keep_one_to_one(model)
        target = folder / f"{variant.path.stem}_{TAG}.pt"
        save(model, target)
        return replace(variant, path=target, tags=(*variant.tags, TAG))


def without_head(tags: tuple[str, ...]) -> tuple[str, ...]:
    """`tags` without that of the head: what was done to the model that both heads are of."""
    return tuple(tag for tag in tags if tag != TAG)
