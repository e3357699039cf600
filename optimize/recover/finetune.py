"""Recovers accuracy by fine-tuning, alone or by distillation with the unpruned original as the teacher."""

from dataclasses import dataclass, field, replace
from pathlib import Path

from optimize.dataset import Dataset
from optimize.identity import OUTSIDE
from optimize.input_size import Size
from optimize.measure.operations import count
from optimize.recover.training import train
from optimize.variant import Variant
from optimize.yolo.checkpoint import deployed, load


@dataclass(frozen=True)
class Finetune:
    """Stage: fine-tunes a pruned variant; any other variant is returned unchanged.

    The other keys are explained in conf/config.yaml; with 0 epochs nothing is trained.

    Attributes:
        data: the data set: its training split trains, its validation split gives the accuracy after each epoch.
        original: the checkpoint of the unpruned model, to whose FLOPs the depth of the cut refers; every variant's
            first step is its digest already.
        distill: also pull the features before the head towards those of the original, by ultralytics' `distill_model`:
            a 1x1 projection per feature level, and the squared difference weighted by the teacher's class scores.
    """

    data: Dataset
    epochs: int
    original: Path = field(repr=False, metadata=OUTSIDE)
    batch: int = 16
    device: str | None = None
    seed: int = 0
    distill: bool = False

    def __call__(self, variant: Variant, folder: Path) -> Variant:
        if "pruned" not in variant.tags or self.epochs == 0:
            return variant
        cut = 1 - _flops(variant.path, variant.imgsz) / _flops(self.original, variant.imgsz)
        teacher = self.original if self.distill else None
        return replace(variant, path=train("finetune", self, variant, folder, cut=cut, teacher=teacher))


def _flops(path: Path, imgsz: Size) -> int:
    return count(deployed(load(path)), imgsz).flops
