"""L2 magnitude."""

from dataclasses import dataclass

import torch_pruning as tp
from torch import nn

from optimize.input_size import Size


@dataclass(frozen=True)
class L2:
    """Mean squared norm of all weights that belong to a channel, relative to the mean of its block.

    Li et al., Pruning Filters for Efficient ConvNets (ICLR 2017), over coupled layers as in DepGraph (CVPR 2023).
    """

    def __call__(self, model: nn.Module, imgsz: Size) -> tp.importance.Importance:
        return tp.importance.GroupMagnitudeImportance(p=2)
