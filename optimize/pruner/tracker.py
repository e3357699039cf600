"""Find out, in one forward pass without values, which channels of a model can only be removed together.

Every tensor carries the identities of its channels. A convolution makes new ones, normalisation and activation pass
them on, concatenation joins, addition ties, chunking slices and ties. An operator that is not known here may depend on
the number of its channels, so it freezes those that it touches: a new block is left dense, and the reason says why.
The idea of following channels through the operators is DepGraph's (Fang et al., CVPR 2023, arXiv:2301.12900); its
implementation in torch-pruning can't express chunks with several readers, nor attention.
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
    def here(self) -> str:
        """Its name and class, for reasons."""
        return f"{self._stack[-1]} ({type(self.running).__name__})"

    def new(self, count: int) -> np.ndarray:
        """Identities for `count` channels."""
        self.trace.count += count
        return np.arange(self.trace.count - count, self.trace.count)

    def ids(self, tensor: Tensor, dim: int = 1) -> np.ndarray:
        """The channels of `tensor` along `dim`; where they are not known, new ones that are frozen."""
        axis = axis_of(tensor)
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
        tensor.channel_axis = Axis(dim, ids)  # type: ignore[attr-defined]  # our own mark, which axis_of reads
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
        if key in self.seen:
            self.tie(self.trace.uses[self.seen[key]].ids, ids)
        else:
            self.seen[key] = len(self.trace.uses)
            self.trace.uses.append(Use(layer, side, ids))
        return self.seen[key]

    def product(self, part: str, ids: np.ndarray, scale: float) -> None:
        """Record multiply-adds without weights: `scale` for each of `ids`."""
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
                for one in tracked:
                    self.freeze(one.axis.ids, f"`{name}` in {self.here} is not known to keep channels apart")
        return result


def _fits(follow: Callable[..., bool], args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Whether a call has the form that `follow` knows; `torch.cat(x, axis=1)` has not, so it counts as unknown."""
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
    """Follow one image of `imgsz` through `model`, a copy on the device `meta` that is used up.

    Args:
        predictions: picks from what the model returns the tensors whose width others rely on.
    """
    tracker = Tracker(model, rules, halving)
    with torch.no_grad(), tracker:
        image = torch.empty(1, 3, imgsz.height, imgsz.width, device="meta")
        ids = tracker.new(3)
        tracker.freeze(ids, "the colours of the image")
        result = model(tracker.mark(image, ids))
    for one in _followed(predictions(result)):
        tracker.freeze(one.axis.ids, "output of the model")
    return tracker.trace
