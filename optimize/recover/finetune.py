"""Win accuracy back by training on, alone or with the unpruned original as the teacher."""

from dataclasses import dataclass, field, replace
from pathlib import Path

from optimize.dataset import Dataset
from optimize.errors import InputError
from optimize.identity import OUTSIDE
from optimize.recover.training import train
from optimize.variant import Variant


@dataclass(frozen=True)
class Finetune:
    """Stage: a pruned variant is trained on; any other is returned as it is.

    The other keys are explained in conf/config.yaml; with 0 epochs nothing is trained.

    Attributes:
        data: trained on its training split; the accuracy after each epoch is that on its validation split.
        distill: also draw the features before the head to those of the original, by ultralytics' `distill_model`: a 1x1
            projection per feature level, and the squared difference weighted by the teacher's class scores.
        original: the checkpoint of the unpruned model; every variant's first step is its digest already.
    """

    data: Dataset
    epochs: int
    batch: int = 16
    device: str | None = None
    seed: int = 0
    distill: bool = False
    original: Path | None = field(default=None, repr=False, metadata=OUTSIDE)

    def __post_init__(self) -> None:
        if self.distill and self.original is None:
            raise InputError("distillation was asked for without a teacher; give the checkpoint of the unpruned model.")

    def __call__(self, variant: Variant, folder: Path) -> Variant:
        if "pruned" not in variant.tags or self.epochs == 0:
            return variant
        teacher = self.original if self.distill else None
        return replace(variant, path=train("finetune", self, variant, folder, teacher=teacher))
