"""The records of what a model costs for one image, in total and per layer; they need no torch.

The convention: FLOPs are floating-point operations for one image, two per multiply-add (MACs are half of that), of
convolutions, linear layers and matrix products. Activations, pooling, additions and copies count nothing, as in the
published tables of ultralytics; the result lists the names of these operators.
"""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Layer:
    """Cost of one module without its children, for one image.

    `activation_bytes` are the bytes that its operators write (views write nothing); weights and activations in float32.
    The minimum that no software can avoid is less: `read_bytes` and `written_bytes` count only the inputs and outputs
    of its convolutions and linear layers, since all other operators can be fused with one of these. `winograd_flops`
    is the part of `flops` in 3x3 convolutions with stride 1, for which Winograd's algorithm needs fewer products.
    """

    name: str
    kind: str
    flops: int
    parameters: int
    weight_bytes: int
    activation_bytes: int
    read_bytes: int = 0
    written_bytes: int = 0
    winograd_flops: int = 0


@dataclass(frozen=True)
class Cost:
    """The cost of one image. `uncounted` are the operators that ran and count 0 by the convention."""

    layers: tuple[Layer, ...]
    uncounted: tuple[str, ...]
    flops: int = field(init=False)
    macs: int = field(init=False)
    parameters: int = field(init=False)
    weight_bytes: int = field(init=False)
    activation_bytes: int = field(init=False)

    def __post_init__(self) -> None:
        for name in ("flops", "parameters", "weight_bytes", "activation_bytes"):
            object.__setattr__(self, name, sum(getattr(layer, name) for layer in self.layers))
        object.__setattr__(self, "macs", self.flops // 2)
