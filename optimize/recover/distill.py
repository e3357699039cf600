"""Win accuracy back by training on, with the unpruned original as the teacher."""

from dataclasses import dataclass, field
from pathlib import Path

from optimize.data.dataset import Dataset
from optimize.recover.finetune import Finetune, train_on
from optimize.variant import Variant


@dataclass(frozen=True)
class Distill:
    """Stage: as `Finetune`, and the features before the head are drawn to those of the original.

    That is ultralytics' own `distill_model`: a 1x1 projection per feature level, and the squared difference to the
    teacher weighted by the teacher's class scores.

    Attributes:
        original: the checkpoint of the unpruned model; not in the repr, since every variant's first step is its digest.
        data, epochs, batch, device, seed, bn_images: as in `Finetune`.
    """

    original: Path = field(repr=False)
    data: Dataset
    epochs: int
    batch: int = 16
    device: str | None = None
    seed: int = 0
    bn_images: int = 256

    def __call__(self, variant: Variant, folder: Path) -> Variant:
        student = Finetune(self.data, self.epochs, self.batch, self.device, self.seed, self.bn_images)
        return train_on(student, variant, folder, teacher=self.original)
