"""Tracks channels through torch functions, with one function per operator.

Each takes the tracker, the inputs with known channels, the result, and the arguments of the call under torch's names.
It marks the channels of the result, and returns whether it could track them.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor, nn

from optimize.pruner.trace import Followed, Term, axis_of

if TYPE_CHECKING:
    from optimize.pruner.tracker import Tracker

# Operators in which each output channel depends only on the same input channel, for any number of channels.
CHANNELWISE = {
    *("silu", "relu", "leaky_relu", "gelu", "sigmoid", "hardswish", "tanh", "elu", "mish", "softplus"),
    *("max_pool2d", "avg_pool2d", "adaptive_avg_pool2d", "adaptive_max_pool2d", "interpolate", "pad", "dropout"),
    *("contiguous", "detach", "clone", "float", "to"),
}
LAYERS = {"conv2d", "conv_transpose2d", "linear", "batch_norm"}
ELEMENTWISE = {"add", "sub", "mul", "div", "true_divide", "iadd", "imul", "radd", "rsub", "rmul"}


def channelwise(
    tracker: "Tracker", tracked: list[Followed], result: object, input: Tensor, *args: object, **kwargs: object
) -> bool:
    axis = axis_of(input)
    if axis is None or not isinstance(result, Tensor) or result.shape[: axis.dim + 1] != input.shape[: axis.dim + 1]:
        return False
    tracker.mark(result, axis.ids, axis.dim)
    return True


def elementwise(
    tracker: "Tracker", tracked: list[Followed], result: Tensor, input: object, other: object, **kwargs: object
) -> bool:
    axis = tracked[0].axis
    for operand in (input, other):
        if not isinstance(operand, Tensor) or operand.ndim == 0:
            continue
        if operand.ndim != result.ndim or (axis_of(operand) or axis).dim != axis.dim:
            return False
        if axis_of(operand) is None and operand.shape[axis.dim] != 1:
            return False
    full = [operand.axis.ids for operand in tracked if operand.tensor.shape[axis.dim] == result.shape[axis.dim]]
    tracker.tie(*full)
    tracker.mark(result, full[0], axis.dim)
    return True


def cat(tracker: "Tracker", tracked: list[Followed], result: Tensor, tensors: Sequence[Tensor], dim: int = 0) -> bool:
    dim %= result.ndim
    if any(operand.axis.dim != dim for operand in tracked):
        return False
    tracker.mark(result, np.concatenate([tracker.ids(tensor, dim) for tensor in tensors]), dim)
    return True


def chunk(
    tracker: "Tracker", tracked: list[Followed], result: Sequence[Tensor], input: Tensor, chunks: int, dim: int = 0
) -> bool:
    dim %= input.ndim
    axis = axis_of(input)
    if axis is None or axis.dim != dim or input.shape[dim] % chunks:
        return False
    parts = np.split(axis.ids, chunks)
    # Chunks must stay equally wide, so a channel is removed from all of them.
    tracker.tie(*parts)
    for tensor, ids in zip(result, parts, strict=True):
        tracker.mark(tensor, ids, dim)
    return True


def split(
    tracker: "Tracker",
    tracked: list[Followed],
    result: Sequence[Tensor],
    input: Tensor,
    sizes: int | Sequence[int],
    dim: int = 0,
) -> bool:
    if not isinstance(sizes, list | tuple) or len(set(sizes)) != 1:
        return False
    if not isinstance(tracker.running, tracker.halving):
        return False
    return chunk(tracker, tracked, result, input, len(sizes), dim)


def flatten(
    tracker: "Tracker", tracked: list[Followed], result: Tensor, input: Tensor, start_dim: int = 0, end_dim: int = -1
) -> bool:
    axis = axis_of(input)
    if axis is None or start_dim % input.ndim != axis.dim or result.ndim != axis.dim + 1:
        return False
    tracker.mark(result, np.repeat(axis.ids, result.shape[axis.dim] // len(axis.ids)), axis.dim)
    return True


def batch_norm(
    tracker: "Tracker",
    tracked: list[Followed],
    result: Tensor,
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    *args: object,
    **kwargs: object,
) -> bool:
    if id(weight) not in tracker.layers:
        return False
    tracker.use(tracker.layers[id(weight)], "both", tracker.ids(input))
    return channelwise(tracker, tracked, result, input)


def convolution(
    tracker: "Tracker",
    tracked: list[Followed],
    result: Tensor,
    input: Tensor,
    weight: Tensor,
    *args: object,
    **kwargs: object,
) -> bool:
    if id(weight) not in tracker.layers:
        return False
    name = tracker.layers[id(weight)]
    conv = tracker.modules[name]
    if not isinstance(conv, nn.Conv2d | nn.ConvTranspose2d):
        return False
    ids = tracker.ids(input)
    spatial = input.shape[2:] if conv.transposed else result.shape[2:]
    scale = spatial.numel() * weight.shape[2:].numel()
    if conv.groups == conv.in_channels == conv.out_channels and conv.groups > 1 and not conv.transposed:
        tracker.trace.terms.append(Term(name, scale, (tracker.use(name, "both", ids),)))
        tracker.mark(result, ids)
        return True
    outputs = _matrix(tracker, name, ids, result, 1, scale / conv.groups)
    if conv.groups > 1:
        for channels in (ids, outputs):
            tracker.freeze(channels, f"{name} is a grouped convolution")
    return True


def linear(
    tracker: "Tracker",
    tracked: list[Followed],
    result: Tensor,
    input: Tensor,
    weight: Tensor,
    *args: object,
    **kwargs: object,
) -> bool:
    if id(weight) not in tracker.layers:
        return False
    last = input.ndim - 1
    _matrix(tracker, tracker.layers[id(weight)], tracker.ids(input, last), result, last, result.shape[1:-1].numel())
    return True


def _matrix(tracker: "Tracker", name: str, ids: np.ndarray, result: Tensor, dim: int, scale: float) -> np.ndarray:
    """Record a layer that mixes all input channels, mark its result, and return the output channels."""
    input_use = tracker.use(name, "in", ids)
    output_use = tracker.seen.get((name, "out"))
    if output_use is None:
        output_use = tracker.use(name, "out", tracker.new(result.shape[dim]))
    channels = tracker.trace.uses[output_use].ids
    tracker.mark(result, channels, dim)
    tracker.trace.terms.append(Term(name, scale, (output_use, input_use)))
    return channels


OPERATORS: dict[str, Callable[..., bool]] = {
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
