"""Measures how much the loss rises when one block alone becomes narrower."""

from copy import deepcopy

import numpy as np
import torch
from torch import Tensor, nn

from optimize.dataset import Dataset
from optimize.errors import MeasurementError
from optimize.input_size import Size
from optimize.progress import bar
from optimize.pruner.blocks import Block
from optimize.pruner.trace import Trace
from optimize.yolo.loss import batches, losing, loss

SHARES = (0.25, 0.5, 0.75)  # shares of a block's units that its trials keep; in between, the rise is interpolated
BATCH = 16


def rises(
    model: nn.Module,
    trace: Trace,
    blocks: list[Block],
    options: list[np.ndarray],
    ranks: list[np.ndarray | None],
    data: Dataset,
    images: int,
    seed: int,
    imgsz: Size,
) -> list[np.ndarray]:
    """For each block the rise of the loss per image at each of its `options`; 0 at the last, which keeps all units.

    The least important units are zeroed in every layer that holds them. BatchNorm uses the statistics of each batch,
    since they are re-estimated after pruning; with the stored ones almost every cut raises the loss far too much. A
    rise is never negative, nor less than that of a wider option.

    Li et al., Pruning Filters for Efficient ConvNets (ICLR 2017, section 3.2), measure the accuracy in the same way.

    Args:
        options: for each block the numbers of units that it may keep, ascending.
        ranks: for each block the importance of its units.
        images: labelled training images to measure on.

    Raises:
        MeasurementError: the loss is not finite.
    """
    labelled = batches(data, images, BATCH, seed, imgsz)
    trials = [_trials(option) for option in options]
    state, copy = model.state_dict(), deepcopy(model)
    with torch.no_grad(), losing(copy, data), bar("sensitivity of layers", sum(map(len, trials)) + 1) as tick:

        @tick
        def measured() -> float:
            return sum(float(loss(copy, batch, seed)) for batch in labelled) / sum(len(b["img"]) for b in labelled)

        whole, by_block = measured(), []
        for block, option, rank, tried in zip(blocks, options, ranks, trials, strict=True):
            if rank is None:  # it can't be scored, so it keeps all units
                by_block.append(np.zeros(len(option)))
                continue
            rise = []
            for kept in option[tried]:
                _zero(copy, trace, block, rank.argsort(kind="stable")[: block.units - kept])
                rise.append(measured() - whole)
                copy.load_state_dict(state)
            by_block.append(_monotone(np.interp(option, [*option[tried], block.units], [*rise, 0.0])))
    if not all(np.isfinite(rise).all() for rise in by_block):
        raise MeasurementError("the loss is not finite, so the layers can't be ranked by it.")
    return by_block


def _trials(option: np.ndarray) -> list[int]:
    """Indices of the options to try: those nearest to `SHARES`, without the last, which removes nothing."""
    nearest = {int(np.abs(option - share * option[-1]).argmin()) for share in SHARES}
    return sorted(nearest - {len(option) - 1})


def _zero(model: nn.Module, trace: Trace, block: Block, units: np.ndarray) -> None:
    for part in block.parts:
        use, positions = trace.uses[part.use], torch.from_numpy(part.positions[:, units].ravel())
        if use.side != "none":
            layer = model.get_submodule(use.layer)
            layer.get_parameter("weight").index_fill_(
                int((use.side == "in") != getattr(layer, "transposed", False)), positions, 0
            )
            bias = layer.bias
            if use.side != "in" and isinstance(bias, Tensor):
                bias[positions] = 0


def _monotone(rise: np.ndarray) -> np.ndarray:
    return np.maximum.accumulate(np.maximum(rise, 0)[::-1])[::-1]
