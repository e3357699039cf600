"""What each torch function does to channels.

One function per operator. It takes the tracker, the inputs with known channels, the result and the call's own arguments
under torch's names, marks the result, and returns whether it could follow the channels.
"""

import numpy as np
from torch import Tensor

from optimize.pruner.trace import Term, axis_of

# Each output channel depends on the same channel of the input only, whatever the number of channels.
CHANNELWISE = {
    *("silu", "relu", "leaky_relu", "gelu", "sigmoid", "hardswish", "tanh", "elu", "mish", "softplus"),
    *("max_pool2d", "avg_pool2d", "adaptive_avg_pool2d", "adaptive_max_pool2d", "interpolate", "pad", "dropout"),
    *("contiguous", "detach", "clone", "float", "to"),
}
LAYERS = {"conv2d", "conv_transpose2d", "linear", "batch_norm"}
ELEMENTWISE = {"add", "sub", "mul", "div", "true_divide", "iadd", "imul", "radd", "rsub", "rmul"}


def channelwise(tracker, tracked, result, input, *args, **kwargs) -> bool:
    axis = axis_of(input)
    if axis is None or not isinstance(result, Tensor) or result.shape[: axis.dim + 1] != input.shape[: axis.dim + 1]:
        return False
    tracker.mark(result, axis.ids, axis.dim)
    return True


def elementwise(tracker, tracked, result, input, other, **kwargs) -> bool:
    axis = axis_of(tracked[0])
    for operand in (input, other):
        if not isinstance(operand, Tensor) or operand.ndim == 0:
            continue
        if operand.ndim != result.ndim or (axis_of(operand) or axis).dim != axis.dim:
            return False
        if axis_of(operand) is None and operand.shape[axis.dim] != 1:
            return False
    wide = [axis_of(t).ids for t in tracked if t.shape[axis.dim] == result.shape[axis.dim]]
    tracker.tie(*wide)
    tracker.mark(result, wide[0], axis.dim)
    return True


def cat(tracker, tracked, result, tensors, dim=0) -> bool:
    dim %= result.ndim
    if any(axis_of(tensor).dim != dim for tensor in tracked):
        return False
    tracker.mark(result, np.concatenate([tracker.ids(tensor, dim) for tensor in tensors]), dim)
    return True


def chunk(tracker, tracked, result, input, chunks, dim=0) -> bool:
    dim %= input.ndim
    if axis_of(input).dim != dim or input.shape[dim] % chunks:
        return False
    parts = np.split(axis_of(input).ids, chunks)
    # Chunks are equal by definition, so what leaves the one must leave the others.
    tracker.tie(*parts)
    for tensor, ids in zip(result, parts, strict=True):
        tracker.mark(tensor, ids, dim)
    return True


def split(tracker, tracked, result, input, sizes, dim=0) -> bool:
    equal = isinstance(sizes, (list, tuple)) and len(set(sizes)) == 1
    if not equal or not isinstance(tracker.running, tracker.halving):
        return False
    return chunk(tracker, tracked, result, input, len(sizes), dim)


def flatten(tracker, tracked, result, input, start_dim=0, end_dim=-1) -> bool:
    axis = axis_of(input)
    if start_dim % input.ndim != axis.dim or result.ndim != axis.dim + 1:
        return False
    tracker.mark(result, np.repeat(axis.ids, result.shape[axis.dim] // len(axis.ids)), axis.dim)
    return True


def batch_norm(tracker, tracked, result, input, running_mean, running_var, weight=None, *args, **kwargs) -> bool:
    if id(weight) not in tracker.layers:
        return False
    tracker.use(tracker.layers[id(weight)], "both", tracker.ids(input))
    return channelwise(tracker, tracked, result, input)


def convolution(tracker, tracked, result, input, weight, *args, **kwargs) -> bool:
    if id(weight) not in tracker.layers:
        return False
    name = tracker.layers[id(weight)]
    conv, ids = tracker.modules[name], tracker.ids(input)
    spatial = input.shape[2:] if conv.transposed else result.shape[2:]
    scale = spatial.numel() * weight.shape[2:].numel()
    if conv.groups == conv.in_channels == conv.out_channels and conv.groups > 1 and not conv.transposed:
        tracker.trace.terms.append(Term(name, scale, (tracker.use(name, "both", ids),)))
        tracker.mark(result, ids)
        return True
    _matrix(tracker, name, ids, result, 1, scale / conv.groups)
    if conv.groups > 1:
        for side in (ids, axis_of(result).ids):
            tracker.freeze(side, f"{name} is a grouped convolution")
    return True


def linear(tracker, tracked, result, input, weight, *args, **kwargs) -> bool:
    if id(weight) not in tracker.layers:
        return False
    last = input.ndim - 1
    _matrix(tracker, tracker.layers[id(weight)], tracker.ids(input, last), result, last, result.shape[1:-1].numel())
    return True


def _matrix(tracker, name: str, ids: np.ndarray, result: Tensor, dim: int, scale: float) -> None:
    read = tracker.use(name, "in", ids)
    made = tracker.seen.get((name, "out"))
    if made is None:
        made = tracker.use(name, "out", tracker.new(result.shape[dim]))
    tracker.mark(result, tracker.trace.uses[made].ids, dim)
    tracker.trace.terms.append(Term(name, scale, (made, read)))


OPERATORS = {
    **dict.fromkeys(CHANNELWISE, channelwise),
    **dict.fromkeys(ELEMENTWISE, elementwise),
    "cat": cat,
    "chunk": chunk,
    "split": split,
    "flatten": flatten,
    "batch_norm": batch_norm,
    "conv2d": convolution,
    "conv_transpose2d": convolution,
    "linear": linear,
}
