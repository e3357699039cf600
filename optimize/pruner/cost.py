"""How many FLOPs a model has left, as a function of how many units of each block stay."""

import numpy as np

from optimize.pruner.blocks import Block
from optimize.pruner.trace import Trace


class Cost:
    """Analytic FLOPs (2 per multiply-add) of one picture through the layers that are deployed.

    The width of a layer is linear in the units that its blocks keep, and a convolution costs the product of its two
    widths, so that any choice is priced in microseconds and without a forward pass.
    """

    def __init__(self, trace: Trace, blocks: list[Block], layers: set[str], fixed: float = 0.0):
        """Args:
        layers: names of the modules that count.
        fixed: FLOPs of operators that the trace doesn't see and that don't shrink.
        """
        terms = [t for t in trace.terms if t.layer in layers or trace.uses[t.uses[0]].side == "none"]
        self._widths = np.zeros((len(trace.uses) + 1, len(blocks)))
        for column, block in enumerate(blocks):
            for part in block.parts:
                self._widths[part.use, column] = len(part.positions)
        # A term of one use has the constant 1 (last row) as its second factor.
        self._first = np.array([t.uses[0] for t in terms])
        self._second = np.array([t.uses[1] if len(t.uses) == 2 else len(trace.uses) for t in terms])
        self._scale = 2 * np.array([t.scale for t in terms])
        self.fixed = fixed

    def __call__(self, kept: np.ndarray) -> float:
        """FLOPs with `kept[b]` units of block b."""
        widths = self._widths @ kept
        widths[-1] = 1
        return float(self._scale @ (widths[self._first] * widths[self._second])) + self.fixed
