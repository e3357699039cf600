"""Remove channels from layers with torch-pruning."""

from collections.abc import Callable

import numpy as np
import torch
import torch_pruning as tp
from torch import nn

from optimize.pruner.trace import Use


def cutter(module: nn.Module, side: str) -> Callable[[nn.Module, list[int]], nn.Module]:
    """torch-pruning's function that removes channels from one side (see `Use`) of a layer."""
    if isinstance(module, nn.modules.batchnorm._BatchNorm):
        return tp.prune_batchnorm_out_channels
    if side == "both":
        return tp.prune_depthwise_conv_out_channels
    kind = "linear" if isinstance(module, nn.Linear) else "conv"
    return getattr(tp, f"prune_{kind}_{side}_channels")


@torch.no_grad()
def cut(model: nn.Module, uses: list[Use], removed: list[np.ndarray]) -> None:
    """Remove from every layer of `model`, in place, the channels at the positions that `removed` holds for each use."""
    for use, gone in zip(uses, removed, strict=True):
        if len(gone) and use.side != "none":
            module = model.get_submodule(use.layer)
            cutter(module, use.side)(module, gone.tolist())
