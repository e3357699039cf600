"""The size of a pruned model (FLOPs, parameters or channels), as a function of the units that each block keeps."""

import numpy as np
from torch import nn

from optimize.measure.cost import Cost
from optimize.pruner.blocks import Block
from optimize.pruner.trace import Term, Trace

TARGETS = ("flops", "params", "channels")


def widths_by_use(trace: Trace, blocks: list[Block]) -> np.ndarray:
    """Channels of each use for each unit that a block keeps, (uses, blocks); times the units it gives all widths."""
    widths = np.zeros((len(trace.uses), len(blocks)))
    for column, block in enumerate(blocks):
        for part in block.parts:
            widths[part.use, column] = len(part.positions)
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
        self._widths = np.concatenate([widths_by_use(trace, blocks), np.zeros((1, len(blocks)))])
        # A term of one use has the constant 1 (last row) as its second factor.
        self._first = np.array([t.uses[0] for t in terms])
        self._second = np.array([t.uses[1] if len(t.uses) == 2 else len(trace.uses) for t in terms])
        self._scale = np.array([t.scale for t in terms])
        self._unseen = 0.0
        self._unseen = total - self(np.array([block.units for block in blocks]))

    def __call__(self, kept: np.ndarray) -> float:
        """The sum with `kept[b]` units of block b."""
        widths = self._widths @ kept
        widths[-1] = 1
        return float(self._scale @ (widths[self._first] * widths[self._second])) + self._unseen


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
