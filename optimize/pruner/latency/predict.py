"""What a network would take by a latency table, as a function of the units that each block keeps."""

from functools import cache

import numpy as np

from optimize.pruner.blocks import Block
from optimize.pruner.latency.fit import Fit
from optimize.pruner.size import widths_by_use
from optimize.pruner.trace import Trace
from optimize.yolo.depth import Branch


class PredictedLatency:
    """Milliseconds of a call; it takes microseconds, as `size.Remaining` does for FLOPs."""

    def __init__(self, fit: Fit, trace: Trace, blocks: list[Block]):
        """Prepare the sum.

        Args:
            fit: what each layer takes.
            trace: the layers that hold each channel of a model with these layers, pruned already or not.
            blocks: its blocks.
        """
        layers = {term.layer: term.uses for term in reversed(trace.terms)}
        self._fit, self._trace, self._blocks = fit, trace, blocks
        self._uses = [layers[time.layer] for time in fit.layers]
        self._factors = cache(self._without)

    def __call__(self, kept: np.ndarray, removed: tuple[Branch, ...] = ()) -> np.ndarray:
        """The sums (...) with `kept[..., b]` units of block b, without the branches `removed`."""
        sides, steps, (fixed, per_output, per_input, per_pair) = self._factors(removed)
        outputs, inputs = (np.ceil(kept @ side.T / steps) * steps for side in sides)
        times = fixed + per_output * outputs + per_input * inputs + per_pair * outputs * inputs
        return times.sum(axis=-1) + self._fit.rest

    def _without(self, removed: tuple[Branch, ...]) -> tuple[tuple[np.ndarray, np.ndarray], np.ndarray, np.ndarray]:
        """Of each layer that is left the channels by unit on both sides, the step, and the coefficients (4, layers)."""
        nothing = np.zeros((1, len(self._blocks)))  # the last row: a layer of one width has no input of its own
        by_use = np.concatenate([widths_by_use(self._trace, self._blocks, removed), nothing])
        left = [
            (time, uses)
            for time, uses in zip(self._fit.layers, self._uses, strict=True)
            if not any(branch.holds(time.layer) for branch in removed)
        ]
        outputs, inputs = by_use[[u[0] for _, u in left]], by_use[[u[1] if len(u) > 1 else -1 for _, u in left]]
        steps, coefficients = np.array([t.step for t, _ in left]), np.array([t.coefficients for t, _ in left]).T
        return (outputs, inputs), steps, coefficients
