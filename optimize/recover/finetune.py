"""Recovers accuracy by fine-tuning, alone or by distillation with the unpruned original as the teacher."""

from dataclasses import dataclass, field, replace
from pathlib import Path

from optimize.dataset import Dataset
from optimize.errors import InputError
from optimize.identity import OUTSIDE
from optimize.recover.training import train
from optimize.variant import Variant


@dataclass(frozen=True)
class Finetune:
    """Stage: fine-tunes a pruned variant; any other variant is returned unchanged.

    The other keys are explained in conf/config.yaml; with 0 epochs nothing is trained.

    Attributes:
        data: the data set: its training split trains, its validation split gives the accuracy after each epoch.
        distill: also pull the features before the head towards those of the original, by ultralytics' `distill_model`:
            a 1x1 projection per feature level, and the squared difference weighted by the teacher's class scores.
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
            raise InputError("distillation needs a teacher, but none was given; give the checkpoint of the original.")

    def __call__(self, variant: Variant, folder: Path) -> Variant:
        if "pruned" not in variant.tags or self.epochs == 0:
            return variant
        teacher = self.original if self.distill else None
        return replace(variant, path=train("finetune", self, variant, folder, teacher=teacher))
