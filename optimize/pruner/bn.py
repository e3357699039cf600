"""Scale of the BatchNorm."""

from dataclasses import dataclass

import torch_pruning as tp
from torch import nn

from optimize.input_size import Size


@dataclass(frozen=True)
class BN:
    """Mean magnitude of the BatchNorm weights of a channel, relative to the mean of its block.

    Liu et al., Learning Efficient Convolutional Networks through Network Slimming (ICCV 2017). It is informative for
    models that were trained with sparse BatchNorm, and hardly for models whose BatchNorm was once fused.
    """

    def __call__(self, model: nn.Module, imgsz: Size) -> tp.importance.Importance:
        return tp.importance.BNScaleImportance()
