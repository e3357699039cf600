"""First-order Taylor expansion of the loss."""

from dataclasses import dataclass

import torch_pruning as tp
from torch import nn

from optimize.data.dataset import Dataset
from optimize.errors import InputError
from optimize.yolo.gradients import accumulate


@dataclass(frozen=True)
class Taylor:
    """How much the loss on labelled training pictures would change without a channel, to first order.

    Molchanov et al., Importance Estimation for Neural Network Pruning (CVPR 2019): the sum of |weight x gradient| over
    all weights of a channel, relative to the mean of its block.

    Attributes:
        data: its training pictures and their labels give the gradients.
        images: how many of them; fewer if the split is smaller.
        seed: which of them.
    """

    data: Dataset
    images: int = 96
    seed: int = 0

    def __post_init__(self):
        if self.images < 1:
            raise InputError(f"pruner.criterion.images={self.images} is out of range; give 1 or more, e.g. 96.")

    def __call__(self, model: nn.Module, imgsz: int) -> tp.importance.Importance:
        accumulate(model, self.data, self.images, self.seed, imgsz)
        return tp.importance.GroupTaylorImportance()
