"""Finds the channels of a model that can only be removed together, in one forward pass on the `meta` device.

Every tensor carries the ids of its channels. A convolution makes new ids, normalisation and activation pass them on,
concatenation joins them, addition ties them, chunking slices and ties them. An unknown operator may depend on the
number of its channels, so it freezes the channels that it reads: a new kind of block is not pruned, and the report
gives the reason. Tracking channels through operators is DepGraph's idea (Fang et al., CVPR 2023, arXiv:2301.12900); its
implementation in torch-pruning can express neither chunks with several readers nor attention.
"""

from collections.abc import Callable, Iterable
from functools import partial
from inspect import signature
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves

from optimize.input_size import Size
from optimize.pruner.operators import LAYERS, OPERATORS
from optimize.pruner.trace import Axis, Followed, Term, Trace, Use, axis_of

Rule = Callable[["Tracker", nn.Module, Tensor], Tensor]
LAYER_TYPES = (nn.Conv2d, nn.ConvTranspose2d, nn.Linear, nn.BatchNorm2d)


class Tracker(TorchFunctionMode):
    """Tracks channels through every torch function that runs while it is active."""

    def __init__(self, model: nn.Module, rules: dict[type, Rule], halving: tuple[type, ...]):
        """Prepare `model`, which is changed: modules with a rule run the rule instead of their own `forward`.

        Args:
            model: a copy of the model; it can't be used afterwards.
            rules: functions for modules that can't be tracked operator by operator.
            halving: modules that split by a stored width, which is refreshed after pruning.
        """
        super().__init__()
        self.trace = Trace()
        self.halving = halving
        self.layers = {id(m.weight): name for name, m in model.named_modules() if isinstance(m, LAYER_TYPES)}
        self.modules = dict(model.named_modules())
        self.seen: dict[tuple[str, str], int] = {}
        self._stack: list[str] = []
        for name, module in model.named_modules():
            module.register_forward_pre_hook(partial(self._enter, name))
            module.register_forward_hook(self._leave)
            if type(module) in rules:
                module.forward = partial(rules[type(module)], self, module)

    # What rules and operators need -----------------------------------------------------------------------------------

    @property
    def running(self) -> nn.Module:
        """The innermost module that is running."""
        return self.modules[self._stack[-1]]

    @property
    def running_name(self) -> str:
        """Name and class of the running module, for reasons."""
        return f"{self._stack[-1]} ({type(self.running).__name__})"

    def new(self, count: int) -> np.ndarray:
        """New ids for `count` channels."""
        self.trace.count += count
        return np.arange(self.trace.count - count, self.trace.count)

    def ids(self, tensor: Tensor, dim: int = 1) -> np.ndarray:
        """The channel ids of `tensor` along `dim`; where they are unknown, new ids that are frozen."""
        axis = axis_of(tensor)
        if axis is not None and axis.dim == dim:
            return axis.ids
        if axis is not None:
            self.freeze(axis.ids, f"read along another dimension in {self.running_name}")
        ids = self.new(tensor.shape[dim])
        self.freeze(ids, f"input of {self.running_name} is not tracked")
        return ids

    def mark(self, tensor: Tensor, ids: np.ndarray, dim: int = 1) -> Tensor:
        """Store on `tensor` the ids of its channels along `dim`."""
        assert tensor.shape[dim] == len(ids), (tensor.shape, dim, len(ids))
        tensor.channel_axis = Axis(dim, ids)  # type: ignore[attr-defined]  # our own mark, which axis_of reads
        return tensor

    def tie(self, first: np.ndarray, *others: np.ndarray) -> None:
        """Record that the channels of all arrays are kept or removed together, element by element."""
        self.trace.ties.extend((first, other) for other in others)

    def freeze(self, ids: np.ndarray, reason: str) -> None:
        """Record that the channels `ids` must be kept."""
        self.trace.frozen.append((ids, reason))

    def use(self, layer: str, side: str, ids: np.ndarray) -> int:
        """Record that a layer holds `ids`, and return the index of the use; a layer that runs twice ties both calls."""
        key = (layer, side)
        if key in self.seen:
            self.tie(self.trace.uses[self.seen[key]].ids, ids)
        else:
            self.seen[key] = len(self.trace.uses)
            self.trace.uses.append(Use(layer, side, ids))
        return self.seen[key]

    def product(self, part: str, ids: np.ndarray, scale: float) -> None:
        """Record multiply-adds of a product without weights: `scale` for each of `ids`."""
        layer = f"{self._stack[-1]}.{part}"
        self.trace.terms.append(Term(layer, scale, (self.use(layer, "none", ids),)))

    # What torch calls -----------------------------------------------------------------------------------------------

    def _enter(self, name: str, module: nn.Module, args: tuple[Any, ...]) -> None:
        self._stack.append(name)

    def _leave(self, module: nn.Module, args: tuple[Any, ...], result: object) -> None:
        self._stack.pop()

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        name = func.__name__.strip("_")
        tracked = _followed(_tensors((args, kwargs)))
        outputs = _tensors(result)
        if (tracked or name in LAYERS) and (outputs or name == "setitem"):
            follow = OPERATORS.get(name)
            if not (follow and _fits(follow, args, kwargs) and follow(self, tracked, result, *args, **kwargs)):
                reason = f"`{name}` in {self.running_name} is not known to keep channels apart"
                for followed in tracked:
                    self.freeze(followed.axis.ids, reason)
        return result


def _fits(follow: Callable[..., bool], args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Whether `follow` takes the arguments of a call; not for `torch.cat(x, axis=1)`, which counts as unknown."""
    try:
        signature(follow).bind(None, None, None, *args, **kwargs)
    except TypeError:
        return False
    return True


def _tensors(tree: object) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, Tensor)]


def _followed(tensors: Iterable[Tensor]) -> list[Followed]:
    axes = ((tensor, axis_of(tensor)) for tensor in tensors)
    return [Followed(tensor, axis) for tensor, axis in axes if axis is not None]


def trace(
    model: nn.Module,
    imgsz: Size,
    rules: dict[type, Rule],
    halving: tuple[type, ...],
    predictions: Callable[[object], Iterable[Tensor]],
) -> Trace:
    """Track the channels of `model` for one image of `imgsz`.

    Args:
        model: a copy on the device `meta`; it can't be used afterwards.
        imgsz: height and width of the input.
        rules, halving: as in `Tracker`.
        predictions: returns, of the model's output, the tensors whose width must not change.
    """
    tracker = Tracker(model, rules, halving)
    with torch.no_grad(), tracker:
        image = torch.empty(1, 3, imgsz.height, imgsz.width, device="meta")
        ids = tracker.new(3)
        tracker.freeze(ids, "the colours of the image")
        result = model(tracker.mark(image, ids))
    for output in _followed(predictions(result)):
        tracker.freeze(output.axis.ids, "output of the model")
    return tracker.trace
