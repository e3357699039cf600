"""Fits what each layer takes, as a function of its widths, to networks that were timed.

A layer's time is `fixed + per_output * o + per_input * i + per_pair * o * i`: the call of its kernels, what is done to
its outputs (an activation) and inputs (a change of layout), and its multiply-adds. Kernels compute whole blocks of
channels, so `o` and `i` are the widths rounded up to the block that fits best. All coefficients are at least 0.

A table of layers' times was used so by Shen et al., Structural Pruning via Latency-Saliency Knapsack (NeurIPS 2022);
there every width is measured, here the widths between those of the timed networks follow from the fit.
"""

from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import nnls

from optimize.pruner.latency.samples import LatencySamples

STEPS = (1, 8, 16, 32, 64)  # channels that a kernel may compute at once
BETTER = 0.9  # a larger step must leave at most this share of the error, else it is chance
ORIGINAL = 1000  # weight of the first network, see `fit`


@dataclass(frozen=True)
class LayerTime:
    """What one layer takes, in milliseconds; see the module for the terms."""

    layer: str
    step: int
    fixed: float
    per_output: float
    per_input: float
    per_pair: float

    @property
    def coefficients(self) -> tuple[float, float, float, float]:
        return self.fixed, self.per_output, self.per_input, self.per_pair


@dataclass(frozen=True)
class Fit:
    """What a network takes: the sum over its layers, and `rest` milliseconds that no layer explains.

    Attributes:
        layers: with every coefficient at the speed of an unprofiled call.
        rest: milliseconds; negative where calls take less than their layers do together, see `fit`.
        profiling: time of a profiled call's layers divided by what they take unprofiled; None without a profiler, or
            where their times say nothing of the call's.
    """

    layers: tuple[LayerTime, ...]
    rest: float
    profiling: float | None

    def at(self, pixels: float) -> "Fit":
        """What the same layers take at an input of `pixels` times the area: all but their calls grows with it."""
        layers = (
            replace(
                one,
                per_output=pixels * one.per_output,
                per_input=pixels * one.per_input,
                per_pair=pixels * one.per_pair,
            )
            for one in self.layers
        )
        return replace(self, layers=tuple(layers))

    def milliseconds(self, widths: dict[str, tuple[int, ...]]) -> float:
        """What a network takes whose layers have these widths, as in `samples.NetworkTime`."""
        return self.rest + sum(
            float(terms(np.array([widths[one.layer]], float), one.step)[0] @ one.coefficients)
            for one in self.layers
            if one.layer in widths
        )


def fit(samples: LatencySamples) -> Fit:
    """Fit every layer to the profiles, then their sum to the whole calls; without profiles see `_pooled`.

    A profiler makes kernels slower and adds its own work to each of their calls, in ONNX Runtime as much again as that
    of the call. So what the widths decide and what they don't, the calls of kernels, are fitted apart, and `rest` is
    what remains, less than 0 where small networks take less than their layers tell. Where all networks have the same
    layers, nothing tells calls and `rest` apart: the calls are then at most as much slower as the kernels.

    The original, the first network, has its measured time, since the others are predicted as shares of it.
    """
    whole = np.array([network.milliseconds for network in samples.networks])
    if samples.networks[0].layers is None:
        return _pooled(samples, whole)
    layers, by_width, calls = dict[str, tuple[int, np.ndarray]](), np.zeros(len(whole)), np.zeros(len(whole))
    for name in samples.layers:
        widths, having = samples.widths(name), samples.having(name)
        times = np.array([(network.layers or {}).get(name, 0.0) for network in samples.networks])[having]
        step, coefficients = _fitted(widths, times)
        layers[name] = step, coefficients
        by_width[having] += terms(widths, step)[:, 1:] @ coefficients[1:]
        calls[having] += coefficients[0]
    ones = np.ones(len(whole))
    if np.ptp(calls):
        scale, of_calls, more, less = _whole_calls(np.stack([by_width, calls, ones, -ones], axis=1), whole)
        rest = more - less
    else:
        scale, constant = _whole_calls(np.stack([by_width, ones], axis=1), whole)
        of_calls = min(scale, constant / calls[0]) if calls[0] else scale
        rest = constant - of_calls * calls[0]
    scales = np.array([of_calls, scale, scale, scale])
    unprofiled = (scale * by_width + of_calls * calls).sum()
    return Fit(
        tuple(LayerTime(name, step, *(scales * found).tolist()) for name, (step, found) in layers.items()),
        rest=float(rest),
        profiling=float((by_width + calls).sum() / unprofiled) if unprofiled else None,
    )


def errors(samples: LatencySamples) -> np.ndarray:
    """How far the time of each network but the original lies from what the others predict, as a share of it."""
    found = []
    for number, network in enumerate(samples.networks[1:], start=1):
        others = samples.networks[:number] + samples.networks[number + 1 :]
        found.append(fit(replace(samples, networks=others)).milliseconds(network.widths) / network.milliseconds - 1)
    return np.array(found)


def _pooled(samples: LatencySamples, whole: np.ndarray) -> Fit:
    """Fit whole calls alone: all layers share the time of a multiply-add, of a depthwise one, a value and a call.

    That is all that so few networks can tell without a profile by layer. Where all networks have the same layers, their
    calls are in `rest`.
    """
    columns = np.zeros((len(whole), 4))
    for name, shape in samples.layers.items():
        calls, outputs, _, pairs = terms(samples.widths(name), 1).T
        depthwise = not pairs.any()
        work = shape.multiply_adds * (outputs if depthwise else pairs)
        of_layer = [work * (not depthwise), work * depthwise, shape.positions * outputs, calls]
        columns[samples.having(name)] += np.stack(of_layer, axis=1)
    columns[:, 3] *= bool(np.ptp(columns[:, 3]))
    matrix = np.concatenate([columns, np.ones((len(whole), 1))], axis=1)
    dense, depthwise_, written, call, rest = _whole_calls(matrix, whole).tolist()
    layers = []
    for name, shape in samples.layers.items():
        one_width = samples.widths(name).shape[1] == 1
        per_output = shape.positions * written + (shape.multiply_adds * depthwise_ if one_width else 0.0)
        layers.append(LayerTime(name, 1, call, per_output, 0.0, 0.0 if one_width else shape.multiply_adds * dense))
    return Fit(tuple(layers), rest, profiling=None)


def _fitted(widths: np.ndarray, times: np.ndarray) -> tuple[int, np.ndarray]:
    """The step and the four coefficients with the least relative error; `widths` has shape (networks, 1 or 2)."""
    if not times.any():  # its work was counted for the layer that it is fused into
        return 1, np.zeros(4)
    best: tuple[float, int, np.ndarray] | None = None
    for step in STEPS:
        matrix = terms(widths, step)
        coefficients = _nonnegative(matrix, times)
        error = float(np.square((matrix @ coefficients - times) / np.maximum(times, times.mean() / 100)).sum())
        if best is None or error < BETTER * best[0]:
            best = error, step, coefficients
    assert best is not None
    return best[1:]


def terms(widths: np.ndarray, step: int) -> np.ndarray:
    """Columns 1, o, i and o * i, (networks, 4), of `widths`, rounded up to `step`; i is 0 where there is one width."""
    rounded = np.ceil(widths / step) * step
    outputs, inputs = rounded[:, 0], rounded[:, 1] if rounded.shape[1] > 1 else np.zeros(len(rounded))
    return np.stack([np.ones(len(rounded)), outputs, inputs, outputs * inputs], axis=1)


def _whole_calls(matrix: np.ndarray, times: np.ndarray) -> np.ndarray:
    """As `_nonnegative`, for calls of whole networks; that of the original, the first one, is met."""
    return _nonnegative(matrix, times, np.where(np.arange(len(times)), 1, ORIGINAL))


def _nonnegative(matrix: np.ndarray, times: np.ndarray, counts: np.ndarray | float = 1.0) -> np.ndarray:
    """Coefficients of at least 0 with the least squares of the relative errors, each counted with its weight."""
    weights = counts / np.maximum(times, times.mean() / 100)
    scales = np.abs(matrix).max(axis=0)
    scales[scales == 0] = 1
    steps = 100 * matrix.shape[1]  # scipy's own limit, 3 for each, ends where rounding decides between equal fits
    return nnls(matrix / scales * weights[:, None], times * weights, maxiter=steps)[0] / scales
