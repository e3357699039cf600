"""Trains a rival as long as the pruned model was trained."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from optimize.dataset import Dataset
from optimize.recover.finetune import Finetune
from optimize.recover.training import train
from optimize.variant import Variant


@dataclass(frozen=True)
class TrainRival:
    """Stage: fine-tunes any variant at its own input size, with the settings of `Finetune`."""

    data: Dataset
    epochs: int
    batch: int
    device: str | None
    seed: int

    @classmethod
    def like(cls, stages: Sequence[Finetune]) -> "TrainRival":
        """For as many epochs as `stages`, of which there is one for each of several cuts, train together."""
        first = stages[0]
        return cls(first.data, sum(stage.epochs for stage in stages), first.batch, first.device, first.seed)

    def __call__(self, variant: Variant, folder: Path) -> Variant:
        return replace(variant, path=train("finetune", self, variant, folder), tags=(*variant.tags, "trained"))
