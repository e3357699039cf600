"""Random channels: the control that every criterion must beat."""

from dataclasses import dataclass

import torch
import torch_pruning as tp
from torch import nn

from optimize.input_size import Size


@dataclass(frozen=True)
class Random:
    """Uniform scores from a seed."""

    seed: int = 0

    def __call__(self, model: nn.Module, imgsz: Size) -> tp.importance.Importance:
        torch.manual_seed(self.seed)
        return tp.importance.RandomImportance()
