"""The size of a pruned model (FLOPs, parameters or channels), as a function of the units that each block keeps."""

from collections.abc import Sequence
from functools import cache
from typing import Literal, get_args

import numpy as np
from torch import nn

from optimize.measure.cost import Cost
from optimize.pruner.blocks import Block
from optimize.pruner.trace import Term, Trace
from optimize.yolo.depth import Branch

Counted = Literal["flops", "params", "channels"]
TARGETS = get_args(Counted)


def widths_by_use(trace: Trace, blocks: list[Block], removed: Sequence[Branch] = ()) -> np.ndarray:
    """Channels of each use for each unit that a block keeps, (uses, blocks); times the units it gives all widths.

    Args:
        trace: the layers that hold each channel of the model.
        blocks: its blocks.
        removed: branches whose outputs nothing reads any more.
    """
    widths = np.zeros((len(trace.uses), len(blocks)))
    for column, block in enumerate(blocks):
        for part in block.parts:
            use, left = trace.uses[part.use], np.ones(len(part.positions), bool)
            for branch in removed:
                if (use.layer, use.side) == (branch.reader, "in"):
                    left &= ~np.isin(part.positions[:, 0], branch.columns)
            widths[part.use, column] = left.sum()
    return widths


class Remaining:
    """A sum over the deployed layers of a traced model: FLOPs, parameters or channels.

    The width of a layer is linear in the units that its blocks keep, and a convolution costs the product of its two
    widths, so the sum takes microseconds and no forward pass.
    """

    def __init__(self, trace: Trace, blocks: list[Block], terms: list[Term], total: float):
        """Prepare the sum.

        Args:
            trace: the layers that hold each channel of the model.
            blocks: its blocks.
            terms: the terms of the sum, see `terms`.
            total: the measured sum of the unpruned model; the part beyond the terms (box decoding) can't shrink.
        """
        self._trace, self._blocks, self._terms = trace, blocks, terms
        self._factors = cache(self._without)
        self._unseen = 0.0
        self._unseen = total - float(self(np.array([block.units for block in blocks])))

    def __call__(self, kept: np.ndarray, removed: tuple[Branch, ...] = ()) -> np.ndarray:
        """The sums (...) with `kept[..., b]` units of block b, without the branches `removed`."""
        by_use, first, second, scale = self._factors(removed)
        widths = kept @ by_use.T
        widths[..., -1] = 1
        return (widths[..., first] * widths[..., second]) @ scale + self._unseen

    def _without(self, removed: tuple[Branch, ...]) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Channels by use and unit, and of each term that is left the rows of its factors there, and its scale.

        A term of one use has the constant 1 (last row) as its second factor.
        """
        by_use = np.concatenate([widths_by_use(self._trace, self._blocks, removed), np.zeros((1, len(self._blocks)))])
        left = [term for term in self._terms if not any(branch.holds(term.layer) for branch in removed)]
        first = np.array([term.uses[0] for term in left])
        second = np.array([term.uses[1] if len(term.uses) == 2 else len(by_use) - 1 for term in left])
        return by_use, first, second, np.array([term.scale for term in left])


def amount(target: str, deployed: nn.Module, cost: Cost) -> int:
    """How much of one of `TARGETS` the model `deployed` has; `cost` is its cost."""
    if target == "channels":
        convolutions = sum(m.out_channels for m in deployed.modules() if isinstance(m, (nn.Conv2d, nn.ConvTranspose2d)))
        return convolutions + sum(m.out_features for m in deployed.modules() if isinstance(m, nn.Linear))
    return {"flops": cost.flops, "params": cost.parameters}[target]


def terms(target: str, model: nn.Module, trace: Trace, deployed: set[str]) -> list[Term]:
    """The terms of one of `TARGETS`.

    `flops` are 2 per multiply-add of one image; `params` the weights and biases that are left when BatchNorm is fused
    into its convolution; `channels` the output channels of all convolutions and linear layers.

    Args:
        deployed: names of the layers that count; other layers run only in training.
    """
    counted = [t for t in trace.terms if t.layer in deployed or trace.uses[t.uses[0]].side == "none"]
    if target == "flops":
        return [Term(t.layer, 2 * t.scale, t.uses) for t in counted]
    # A layer that runs at several sizes has one term for each, but only one set of weights.
    layers = list({t.layer: t for t in counted if trace.uses[t.uses[0]].side != "none"}.values())
    widths = [Term(t.layer, 1, t.uses[:1]) for t in layers]  # a bias per output channel, which fusing leaves
    if target == "channels":
        return widths
    kernels = [Term(t.layer, _weights_per_pair(model, trace, t), t.uses) for t in layers]
    return kernels + [w for w in widths if _has_bias_when_fused(model, w.layer)]


def _weights_per_pair(model: nn.Module, trace: Trace, term: Term) -> float:
    return model.get_submodule(term.layer).get_parameter("weight").numel() / np.prod(
        [len(trace.uses[use].ids) for use in term.uses]
    )


def _has_bias_when_fused(model: nn.Module, name: str) -> bool:
    """Whether the layer has a bias, or a BatchNorm beside it that fusing turns into one."""
    parent, _, child = name.rpartition(".")
    fused = child == "conv" and hasattr(model.get_submodule(parent), "bn")
    return fused or model.get_submodule(name).bias is not None
