"""The FLOPs that are left, as a function of how many units of each block stay."""

import numpy as np

from optimize.pruner.blocks import Block
from optimize.pruner.trace import Trace


class Flops:
    """FLOPs (2 per multiply-add) of one picture through the deployed layers of a traced model.

    The width of a layer is linear in the units that its blocks keep, and a convolution costs the product of its two
    widths, so that any choice is priced in microseconds and without a forward pass.
    """

    def __init__(self, trace: Trace, blocks: list[Block], deployed: set[str], total: float):
        """Take over what was measured on the whole model.

        Args:
            deployed: names of the layers that count; others run in training only.
            total: counted FLOPs of the unpruned model; what exceeds the trace (decoding of boxes) can't shrink.
        """
        terms = [t for t in trace.terms if t.layer in deployed or trace.uses[t.uses[0]].side == "none"]
        self._widths = np.zeros((len(trace.uses) + 1, len(blocks)))
        for column, block in enumerate(blocks):
            for part in block.parts:
                self._widths[part.use, column] = len(part.positions)
        # A term of one use has the constant 1 (last row) as its second factor.
        self._first = np.array([t.uses[0] for t in terms])
        self._second = np.array([t.uses[1] if len(t.uses) == 2 else len(trace.uses) for t in terms])
        self._scale = 2 * np.array([t.scale for t in terms])
        self._unseen = 0.0
        self._unseen = total - self(np.array([block.units for block in blocks]))

    def __call__(self, kept: np.ndarray) -> float:
        """FLOPs with `kept[b]` units of block b."""
        widths = self._widths @ kept
        widths[-1] = 1
        return float(self._scale @ (widths[self._first] * widths[self._second])) + self._unseen
