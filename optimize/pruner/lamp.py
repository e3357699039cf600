"""Layer-adaptive magnitude (LAMP)."""

from dataclasses import dataclass

import torch_pruning as tp
from torch import nn

from optimize.input_size import Size


@dataclass(frozen=True)
class LAMP:
    """L2 magnitude divided by the sum over all channels of the block that are not smaller.

    Lee et al., Layer-adaptive Sparsity for the Magnitude-based Pruning (ICLR 2021), there for single weights. With
    global scope it takes mostly from wide layers.
    """

    def __call__(self, model: nn.Module, imgsz: Size) -> tp.importance.Importance:
        return tp.importance.LAMPImportance()
