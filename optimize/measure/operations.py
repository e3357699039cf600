"""Counts the operations, parameters and bytes of a torch model by the convention of `cost.py`.

The formulas are torch's own (`torch.utils.flop_counter`), applied to every operator that the fused graph of the
deployed head really runs.
"""

from collections import Counter
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry, sdpa_flop_count
from torch.utils.hooks import RemovableHandle

from optimize.errors import MeasurementError
from optimize.input_size import Size
from optimize.measure.cost import Cost, Layer

# in the name of every operator that needs a formula
MULTIPLY_ADD = ("conv", "mm", "mv", "matmul", "attention", "einsum", "linear")
aten = torch.ops.aten
ACTIVATION = {aten.convolution: 0, aten.mm: 0, aten.addmm: 1}  # operators with weights: which argument is not one


def count(model: nn.Module, imgsz: Size, channels: int = 3) -> Cost:
    """Count the operations of the fused eval graph `model` on one `(1, channels, height, width)` image, on its device.

    On torch's `meta` device only shapes are computed; the count is the same.

    Raises:
        MeasurementError: an operator that multiplies and adds has no formula, so a total would be too small.
    """
    device = next((parameter.device for parameter in model.parameters()), None)
    work, image = _Work(), torch.zeros(1, channels, imgsz.height, imgsz.width, device=device)
    hooks = work.follow(model)
    try:
        with torch.no_grad(), work:
            model(image)
    finally:
        for hook in hooks:
            hook.remove()
    missed = sorted(n for n in work.uncounted if any(word in n for word in MULTIPLY_ADD) and "upsample" not in n)
    if missed:
        raise MeasurementError(
            f"{', '.join(missed)} has no FLOPs formula, so no total can be given; please report this model."
        )
    layers = (_layer(name, module, work) for name, module in model.named_modules())
    used = tuple(layer for layer in layers if layer.flops or layer.parameters or layer.activation_bytes)
    return Cost(used, tuple(sorted(work.uncounted)))


def _layer(name: str, module: nn.Module, work: "_Work") -> Layer:
    parameters = list(module.parameters(recurse=False))
    return Layer(
        name=name,
        kind=type(module).__name__,
        flops=work.flops[name],
        parameters=sum(p.numel() for p in parameters),
        weight_bytes=sum(p.numel() * p.element_size() for p in parameters),
        activation_bytes=work.written[name],
        read_bytes=work.into[name],
        written_bytes=work.out_of[name],
        winograd_flops=work.winograd[name],
    )


class _Work(TorchDispatchMode):
    """Adds up the operations and bytes of every operator that runs, for the module that called it."""

    def __init__(self) -> None:
        super().__init__()
        self.flops: Counter[str] = Counter()
        self.winograd: Counter[str] = Counter()
        self.written: Counter[str] = Counter()
        self.into: Counter[str] = Counter()
        self.out_of: Counter[str] = Counter()
        self.uncounted: set[str] = set()
        self.calls = [""]

    def follow(self, model: nn.Module) -> list[RemovableHandle]:
        """Hooks that track the running module; a module that is used in several places counts for its caller."""
        places = Counter(id(module) for _, module in model.named_modules(remove_duplicate=False))
        hooks: list[RemovableHandle] = []
        for name, module in model.named_modules():
            if places[id(module)] == 1:
                hooks.append(module.register_forward_pre_hook(lambda *_, name=name: self.calls.append(name)))
                hooks.append(module.register_forward_hook(self._leave))
        return hooks

    def _leave(self, *_: object) -> None:
        self.calls.pop()

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # to skip dynamo, torch would import its compiler first, which takes a second

    def __torch_dispatch__(
        self, operator: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        result = operator(*args, **kwargs)
        name, packet = self.calls[-1], operator._overloadpacket
        view = operator.is_view or packet is torch.ops.aten._unsafe_view
        if packet in flop_registry:
            self.flops[name] += flop_registry[packet](*args, **kwargs, out_val=result)
        elif packet is torch.ops.aten._scaled_dot_product_flash_attention_for_cpu:  # torch 2.14 has no formula for it
            self.flops[name] += sdpa_flop_count(*(tensor.shape for tensor in args[:3]))
        elif not view:
            self.uncounted.add(str(packet))
        if packet in ACTIVATION:  # the operators with weights
            self.into[name] += args[ACTIVATION[packet]].nbytes
            self.out_of[name] += result.nbytes
        if packet is aten.convolution and _small(*args):
            self.winograd[name] += flop_registry[packet](*args, **kwargs, out_val=result)
        if not view:
            self.written[name] += sum(t.nbytes for t in tree_leaves(result) if isinstance(t, Tensor))
        return result


def _small(
    _image: Tensor,
    weight: Tensor,
    _bias: Tensor | None,
    stride: list[int],
    _padding: list[int],
    dilation: list[int],
    transposed: bool,
    *_: object,
) -> bool:
    """Whether a convolution is 3x3 with stride 1, as `aten.convolution` is called."""
    return tuple(weight.shape[2:]) == (3, 3) and {*stride, *dilation} == {1} and not transposed
