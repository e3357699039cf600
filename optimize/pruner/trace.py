"""Find out, in one forward pass without values, which channels of a model can only be removed together.

Every tensor carries the identities of its channels. A convolution makes new ones, normalisation and activation pass
them on, concatenation joins, addition ties, chunking slices and ties. An operator that is not known here may depend on
the number of its channels, so it freezes those that it touches: a new block is left dense, and the reason says why.
The idea of following channels through the operators is DepGraph's (Fang et al., CVPR 2023, arXiv:2301.12900); its
implementation in torch-pruning can't express chunks with several readers, nor attention.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves

Rule = Callable[["Tracker", nn.Module, Tensor], Tensor]


@dataclass(frozen=True)
class Use:
    """Channels that a layer holds: their identities in the layer's own order.

    Attributes:
        layer: name of the module, or of what computes with the channels where no module does.
        side: `out` or `in` of a convolution or linear layer, `both` where in and out are the same channels
            (depthwise, BatchNorm), `none` where there are no weights to cut.
        ids: int array, shape (channels,).
    """

    layer: str
    side: str
    ids: np.ndarray


@dataclass(frozen=True)
class Term:
    """Multiply-adds: `scale` times the width of one use, times that of a second one where there is one."""

    layer: str
    scale: float
    uses: tuple[int, ...]


@dataclass
class Trace:
    """What the pass found.

    Attributes:
        count: number of channel identities.
        uses: every place that holds channels.
        terms: multiply-adds for one image, per operator.
        ties: pairs of equally long id arrays that must be kept or removed together, element by element.
        frozen: ids that must be kept, with the reason.
    """

    count: int = 0
    uses: list[Use] = field(default_factory=list)
    terms: list[Term] = field(default_factory=list)
    ties: list[tuple[np.ndarray, np.ndarray]] = field(default_factory=list)
    frozen: list[tuple[np.ndarray, str]] = field(default_factory=list)


@dataclass(frozen=True)
class Axis:
    """Where the channels of a tensor lie, and which they are."""

    dim: int
    ids: np.ndarray


# Each output channel depends on the same channel of the input only, whatever the number of channels.
CHANNELWISE = {
    *("silu", "relu", "leaky_relu", "gelu", "sigmoid", "hardswish", "tanh", "elu", "mish", "softplus", "clamp"),
    *("max_pool2d", "avg_pool2d", "adaptive_avg_pool2d", "adaptive_max_pool2d", "interpolate", "pad", "dropout"),
    *("contiguous", "detach", "clone", "float", "to"),
}
LAYERS = {"conv2d", "conv_transpose2d", "linear", "batch_norm"}
ELEMENTWISE = {"add", "sub", "mul", "div", "true_divide", "iadd", "imul", "radd", "rmul"}


class Tracker(TorchFunctionMode):
    """Follows the channels through every torch function that runs while it is active."""

    def __init__(self, model: nn.Module, rules: dict[type, Rule], halving: tuple[type, ...]):
        """Prepare `model`, which is changed: modules with a rule run the rule instead of their own `forward`.

        Args:
            model: a copy that nobody needs any more.
            rules: for modules whose inside can't be followed operator by operator.
            halving: modules that split by a number of their own, which is refreshed after pruning.
        """
        super().__init__()
        self.trace = Trace()
        self._halving = halving
        self._layers = {id(m.weight): name for name, m in model.named_modules() if isinstance(_weight(m), Tensor)}
        self._modules = dict(model.named_modules())
        self._seen: dict[tuple[str, str], int] = {}
        self._stack: list[str] = []
        for name, module in model.named_modules():
            module.register_forward_pre_hook(partial(self._enter, name))
            module.register_forward_hook(self._leave)
            if type(module) in rules:
                module.forward = partial(rules[type(module)], self, module)

    # What rules and operators need -----------------------------------------------------------------------------------

    @property
    def here(self) -> str:
        """The module that is running, for names and reasons."""
        name = self._stack[-1] if self._stack else ""
        return f"{name} ({type(self._modules[name]).__name__})"

    def new(self, count: int) -> np.ndarray:
        """Identities for `count` channels."""
        self.trace.count += count
        return np.arange(self.trace.count - count, self.trace.count)

    def ids(self, tensor: Tensor, dim: int = 1) -> np.ndarray:
        """The channels of `tensor` along `dim`; where they are not known, new ones that are frozen."""
        axis = _axis(tensor)
        if axis is not None and axis.dim == dim:
            return axis.ids
        if axis is not None:
            self.freeze(axis.ids, f"read along another dimension in {self.here}")
        ids = self.new(tensor.shape[dim])
        self.freeze(ids, f"input of {self.here} is not followed")
        return ids

    def mark(self, tensor: Tensor, ids: np.ndarray, dim: int = 1) -> Tensor:
        """Write on `tensor` which channels lie along `dim`."""
        assert tensor.shape[dim] == len(ids), (tensor.shape, dim, len(ids))
        tensor.channel_axis = Axis(dim, ids)
        return tensor

    def tie(self, first: np.ndarray, *others: np.ndarray) -> None:
        """Keep or remove the channels of all arrays together, element by element."""
        self.trace.ties.extend((first, other) for other in others)

    def freeze(self, ids: np.ndarray, reason: str) -> None:
        """Keep `ids`."""
        self.trace.frozen.append((ids, reason))

    def use(self, layer: str, side: str, ids: np.ndarray) -> int:
        """Record that a layer holds `ids`; a layer that runs twice ties both. Returns the index of the use."""
        key = (layer, side)
        if key in self._seen:
            self.tie(self.trace.uses[self._seen[key]].ids, ids)
        else:
            self._seen[key] = len(self.trace.uses)
            self.trace.uses.append(Use(layer, side, ids))
        return self._seen[key]

    def product(self, part: str, ids: np.ndarray, scale: float) -> None:
        """Record multiply-adds without weights: `scale` for each of `ids`."""
        layer = f"{self._stack[-1]}.{part}"
        self.trace.terms.append(Term(layer, scale, (self.use(layer, "none", ids),)))

    # The operators ---------------------------------------------------------------------------------------------------

    def _enter(self, name: str, module: nn.Module, args: tuple) -> None:
        self._stack.append(name)

    def _leave(self, module: nn.Module, args: tuple, result: object) -> None:
        self._stack.pop()

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        name = func.__name__.strip("_")
        tracked = [t for t in _tensors((args, kwargs)) if _axis(t) is not None]
        outputs = _tensors(result)
        if (tracked or name in LAYERS) and (outputs or name == "setitem"):
            follow = _OPERATORS.get(name, Tracker._unknown)
            if not follow(self, tracked, result, *args, **kwargs):
                for tensor in tracked:
                    self.freeze(_axis(tensor).ids, f"`{name}` in {self.here} is not known to keep channels apart")
        return result

    def _unknown(self, tracked, result, *args, **kwargs) -> bool:
        return False

    def _channelwise(self, tracked, result, x, *args, **kwargs) -> bool:
        axis = _axis(x)
        if axis is None or result.ndim <= axis.dim or result.shape[axis.dim] != len(axis.ids):
            return False
        self.mark(result, axis.ids, axis.dim)
        return True

    def _elementwise(self, tracked, result, a, b, *args, **kwargs) -> bool:
        axis = _axis(tracked[0])
        for operand in (a, b):
            if not isinstance(operand, Tensor) or operand.ndim == 0:
                continue
            if operand.ndim != result.ndim or (_axis(operand) or axis).dim != axis.dim:
                return False
            if _axis(operand) is None and operand.shape[axis.dim] != 1:
                return False
        wide = [_axis(t).ids for t in tracked if t.shape[axis.dim] == result.shape[axis.dim]]
        self.tie(*wide)
        self.mark(result, wide[0], axis.dim)
        return True

    def _cat(self, tracked, result, tensors, dim=0) -> bool:
        dim %= result.ndim
        if any(_axis(tensor).dim != dim for tensor in tracked):
            return False
        self.mark(result, np.concatenate([self.ids(tensor, dim) for tensor in tensors]), dim)
        return True

    def _chunk(self, tracked, result, x, chunks, dim=0) -> bool:
        dim %= x.ndim
        if _axis(x).dim != dim or x.shape[dim] % chunks:
            return False
        parts = np.split(_axis(x).ids, chunks)
        # Chunks are equal by definition, so what leaves the one must leave the others.
        self.tie(*parts)
        for tensor, ids in zip(result, parts, strict=True):
            self.mark(tensor, ids, dim)
        return True

    def _split(self, tracked, result, x, sizes, dim=0) -> bool:
        equal = isinstance(sizes, (list, tuple)) and len(set(sizes)) == 1
        if not equal or not isinstance(self._modules[self._stack[-1]], self._halving):
            return False
        return self._chunk(tracked, result, x, len(sizes), dim)

    def _flatten(self, tracked, result, x, start_dim=0, end_dim=-1) -> bool:
        axis = _axis(x)
        if start_dim % x.ndim != axis.dim or result.ndim != axis.dim + 1:
            return False
        self.mark(result, np.repeat(axis.ids, result.shape[axis.dim] // len(axis.ids)), axis.dim)
        return True

    def _batch_norm(self, tracked, result, x, mean, var, weight=None, *args, **kwargs) -> bool:
        if id(weight) not in self._layers:
            return False
        self.use(self._layers[id(weight)], "both", self.ids(x))
        return self._channelwise(tracked, result, x)

    def _convolution(self, tracked, result, x, weight, *args, **kwargs) -> bool:
        if id(weight) not in self._layers:
            return False
        name = self._layers[id(weight)]
        conv, ids = self._modules[name], self.ids(x)
        spatial = x.shape[2:] if conv.transposed else result.shape[2:]
        scale = spatial.numel() * weight.shape[2:].numel()
        if conv.groups == conv.in_channels == conv.out_channels and conv.groups > 1 and not conv.transposed:
            self.trace.terms.append(Term(name, scale, (self.use(name, "both", ids),)))
            self.mark(result, ids)
            return True
        self._matrix(name, ids, result, 1, scale / conv.groups)
        if conv.groups > 1:
            for side in (ids, _axis(result).ids):
                self.freeze(side, f"{name} is a grouped convolution")
        return True

    def _linear(self, tracked, result, x, weight, *args, **kwargs) -> bool:
        if id(weight) not in self._layers:
            return False
        last = x.ndim - 1
        self._matrix(self._layers[id(weight)], self.ids(x, last), result, last, result.shape[1:-1].numel())
        return True

    def _matrix(self, name: str, ids: np.ndarray, result: Tensor, dim: int, scale: float) -> None:
        read = self.use(name, "in", ids)
        made = self._seen.get((name, "out"))
        if made is None:
            made = self.use(name, "out", self.new(result.shape[dim]))
        self.mark(result, self.trace.uses[made].ids, dim)
        self.trace.terms.append(Term(name, scale, (made, read)))


_OPERATORS = {
    **dict.fromkeys(CHANNELWISE, Tracker._channelwise),
    **dict.fromkeys(ELEMENTWISE, Tracker._elementwise),
    "cat": Tracker._cat,
    "chunk": Tracker._chunk,
    "split": Tracker._split,
    "flatten": Tracker._flatten,
    "batch_norm": Tracker._batch_norm,
    "conv2d": Tracker._convolution,
    "conv_transpose2d": Tracker._convolution,
    "linear": Tracker._linear,
}


def _weight(module: nn.Module) -> object:
    return getattr(module, "weight", None)


def _axis(tensor: object) -> Axis | None:
    return getattr(tensor, "channel_axis", None)


def _tensors(tree: object) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, Tensor)]


def trace(
    model: nn.Module,
    imgsz: int,
    rules: dict[type, Rule],
    halving: tuple[type, ...],
    predictions: Callable[[object], Iterable[Tensor]],
) -> Trace:
    """Follow one picture of `imgsz` x `imgsz` pixels through `model`, a copy on the device `meta` that is used up.

    Args:
        predictions: picks from what the model returns the tensors whose width others rely on.
    """
    tracker = Tracker(model, rules, halving)
    with torch.no_grad(), tracker:
        image = torch.empty(1, 3, imgsz, imgsz, device="meta")
        ids = tracker.new(3)
        tracker.freeze(ids, "the colours of the picture")
        result = model(tracker.mark(image, ids))
    for tensor in predictions(result):
        if _axis(tensor) is not None:
            tracker.freeze(_axis(tensor).ids, "output of the model")
    return tracker.trace
