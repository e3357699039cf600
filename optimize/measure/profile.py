"""Where the time of one call goes, layer by layer, as the runtime itself tells."""

from dataclasses import dataclass


@dataclass(frozen=True)
class LayerTime:
    """All kernels that one layer of the model became.

    Attributes:
        name: the module, as in `cost.Layer`, e.g. `model.2.cv1.conv`; empty for kernels that belong to none.
        milliseconds: median over the profiled calls.
        ops: operations, 2 per multiply-add, that they execute.
        bytes: activations and weights that they read and write, in the types that ran.
        arithmetic: `fp32`, `bf16`, `int8` ...: what most of its operations are computed in.
    """

    name: str
    milliseconds: float
    ops: int
    bytes: int
    arithmetic: str


@dataclass(frozen=True)
class Profile:
    """One variant's layers, in the order in which they run. Profiling costs time, so the sum is not the latency."""

    layers: tuple[LayerTime, ...]
    calls: int
