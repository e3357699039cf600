"""What every runtime offers, and what it gives back when a variant is opened."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Protocol

import numpy as np

from optimize.measure.graph_cost import GraphCost
from optimize.measure.profile import Profiler
from optimize.variant import Variant


@dataclass(frozen=True)
class Session:
    """A loaded model, ready to run.

    Attributes:
        run: (1, 3, H, W) float32 in 0..1, RGB -> the model's outputs. Exported graphs take batch 1 and one size.
        arithmetic: the number formats that the compiled model computes in, read back from it, e.g. `int8+fp32`.
        int8_ops: operations for one image, 2 per multiply-add, that its integer kernels take, read back from it; None
            where the runtime doesn't tell.
        device: what computes, `cpu` or `gpu`.
    """

    run: Callable[[np.ndarray], list[np.ndarray]]
    arithmetic: str
    int8_ops: int | None
    device: str = "cpu"

    def __call__(self, images: np.ndarray) -> list[np.ndarray]:
        return self.run(images)


class Runtime(Protocol):
    """One way to run a model. `export` and `build` are stages: `apply(runtime.export, variant, store)`.

    A bound method of a frozen dataclass has a stable repr that holds the dataclass's own, so it serves as identity.
    """

    name: ClassVar[str]

    def unavailable(self) -> str | None:
        """Why this runtime can't be used here, in a few words; None where it can."""
        ...

    def export(self, variant: Variant, folder: Path) -> Variant:
        """From a torch checkpoint to the float32 format that this runtime, or its quantizer, reads."""
        ...

    def build(self, variant: Variant, folder: Path) -> Variant:
        """From the exported, perhaps quantized, file to what is deployed; most runtimes have nothing to do."""
        ...

    def open(self, variant: Variant, threads: int) -> Session:
        """Load `variant` on `threads` CPU threads."""
        ...

    def profiler(self, variant: Variant, threads: int) -> Profiler | None:
        """Load `variant` as `open` does, but to time its layers; None where the runtime doesn't tell."""
        ...

    def count(self, variant: Variant) -> GraphCost | None:
        """Operations counted on the file that `build` takes; None for a checkpoint, which holds no graph."""
        ...
