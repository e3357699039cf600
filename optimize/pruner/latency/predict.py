"""What a network would take by a latency table, as a function of the units that each block keeps."""

import numpy as np

from optimize.pruner.blocks import Block
from optimize.pruner.latency.fit import Fit
from optimize.pruner.size import widths_by_use
from optimize.pruner.trace import Trace


class PredictedLatency:
    """Milliseconds of a call; it takes microseconds, as `size.Remaining` does for FLOPs."""

    def __init__(self, fit: Fit, trace: Trace, blocks: list[Block]):
        """Prepare the sum.

        Args:
            fit: what each layer takes.
            trace: the layers that hold each channel of a model with these layers, pruned already or not.
            blocks: its blocks.
        """
        nothing = np.zeros((1, len(blocks)))  # the last row: a layer of one width has no input of its own
        by_use = np.concatenate([widths_by_use(trace, blocks), nothing])
        layers = {term.layer: term.uses for term in reversed(trace.terms)}
        uses = [layers[time.layer] for time in fit.layers]
        self._outputs = by_use[[use[0] for use in uses]]
        self._inputs = by_use[[use[1] if len(use) > 1 else -1 for use in uses]]
        self._steps = np.array([time.step for time in fit.layers])
        self._coefficients = np.array([time.coefficients for time in fit.layers]).T
        self._rest = fit.rest

    def __call__(self, kept: np.ndarray) -> float:
        """The sum with `kept[b]` units of block b."""
        return float(self.by_layer(kept).sum()) + self._rest

    def by_layer(self, kept: np.ndarray) -> np.ndarray:
        """Milliseconds of every layer of the fit."""
        outputs, inputs = (np.ceil(side @ kept / self._steps) * self._steps for side in (self._outputs, self._inputs))
        fixed, per_output, per_input, per_pair = self._coefficients
        return np.asarray(fixed + per_output * outputs + per_input * inputs + per_pair * outputs * inputs)
