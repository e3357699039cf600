"""Score the units of a block with torch-pruning."""

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
from torch import Tensor, nn
from torch_pruning.dependency import Dependency, Group, Node

from optimize.errors import InputError
from optimize.input_size import Size
from optimize.pruner.blocks import Block
from optimize.pruner.cut import cutter
from optimize.pruner.trace import Trace

Importance = Callable[[Group], Tensor | None]


class Criterion(Protocol):
    """Scores how much channels matter. Its fields are its settings; a new criterion is one file with one class."""

    def __call__(self, model: nn.Module, imgsz: Size) -> Importance:
        """Return a scorer for groups of `model`; low scores are removed first, None means that it can't score a group.

        Gradients of the whole model at `imgsz`, if needed, are computed here; the caller clears them.
        """
        ...


def group(model: nn.Module, trace: Trace, block: Block) -> Group:
    """The block as a torch-pruning group: one item per channel of a unit; root indices are the units."""
    items = Group()
    for part in block.parts:
        use = trace.uses[part.use]
        if use.side == "none":
            continue
        module = model.get_submodule(use.layer)
        node, cut = Node(module, None, use.layer), cutter(module, use.side)
        for positions in part.positions:
            order = np.argsort(positions)  # torch-pruning's Taylor sorts the indices of an item
            items.add_dep(Dependency(cut, cut, node, node), positions[order].tolist())
            items[-1].root_idxs = order.tolist()
    return items


def rank(
    criterion: Criterion, model: nn.Module, imgsz: Size, trace: Trace, blocks: Sequence[Block]
) -> list[np.ndarray | None]:
    """The scores of each block; None where it is frozen or can't be scored. Gradients of `model` are cleared.

    Raises:
        InputError: the scores are not finite.
    """
    importance = criterion(model, imgsz)
    ranks = [None if block.frozen else scores(importance, model, trace, block) for block in blocks]
    model.zero_grad(set_to_none=True)
    if not all(np.isfinite(score).all() for score in ranks if score is not None):
        raise InputError("The criterion's scores are not finite; give a checkpoint without NaN weights.")
    return ranks


def scores(importance: Importance, model: nn.Module, trace: Trace, block: Block) -> np.ndarray | None:
    """Importance of each unit of a block, shape (units,); None where the criterion can't score it."""
    result = importance(group(model, trace, block))
    return None if result is None else result.detach().double().cpu().numpy()
