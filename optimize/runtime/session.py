"""The protocol of runtimes, and `Session`, a loaded model."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol

import numpy as np

from optimize.int8_cpu import Int8Cpu
from optimize.measure.graph_cost import GraphCost
from optimize.measure.profile import OpenProfiler
from optimize.measure.throughput import Batching
from optimize.runtime_info import RuntimeInfo
from optimize.variant import Variant


@dataclass(frozen=True)
class Session:
    """A loaded model, ready to run.

    Attributes:
        run: (1, 3, H, W) float32 in 0..1, RGB -> the model's outputs. Exported graphs take batch 1 and one size.
        arithmetic: the number formats that the compiled model computes in, read back from it, e.g. `int8+fp32`.
        int8_ops: operations for one image, 2 per multiply-add, that its integer kernels take, read back from it; None
            where the runtime doesn't report them.
        device: `cpu` or `gpu`.
    """

    run: Callable[[np.ndarray], list[np.ndarray]]
    arithmetic: str
    int8_ops: int | None
    device: str = "cpu"

    def __call__(self, images: np.ndarray) -> list[np.ndarray]:
        return self.run(images)


class Images(Protocol):
    """Calibration images: (1, 3, H, W) float32 arrays in 0..1, the same in every iteration."""

    def __iter__(self) -> Iterator[np.ndarray]: ...

    def __len__(self) -> int: ...


class Recipe(Protocol):
    """One way to quantize a runtime's files to int8; every runtime has its own class."""

    @property
    def name(self) -> str: ...


class Quantizer(Protocol):
    """A calibrated model, which writes int8 files with some layers left in float.

    Attributes:
        layers: names of the layers that become int8, in the graph's order.
        images: the calibration images.
    """

    layers: list[str]
    images: Images

    def write(self, target: Path, floats: Sequence[str] = ()) -> None:
        """Write the int8 file or folder `target`; the layers `floats` stay in float."""
        ...

    def logits(self, path: Path) -> Callable[[np.ndarray], list[np.ndarray]]:
        """A function that runs the file `path` on an image and returns the inputs of its box decoding.

        `path` is the source, or a file that `write` wrote.
        """
        ...


Writer = Callable[[Path, Path], None]  # from an exported float32 file to the same in another precision


class Runtime(Protocol):
    """One way to run a model: a frozen dataclass in its own folder, which holds all code of this runtime.

    `export` and `build` are stages: `apply(runtime.export, variant, store)`. Their identity is that of the dataclass,
    with the name of the method.

    Attributes:
        info: the runtime's name, title and mark in the report.
        device_file: the module that is copied into bundles and opens the runtime's files there; it imports only the
            standard library, numpy and the runtime (see docs/extending/runtime.md); None where it has no bundles.
    """

    info: ClassVar[RuntimeInfo]
    device_file: ClassVar[Path | None]

    def unavailable(self) -> str | None:
        """Why this runtime can't be used here, in a few words; None where it can."""
        ...

    def export(self, variant: Variant, folder: Path) -> Variant:
        """Convert a torch checkpoint to the float32 format that this runtime, or its quantizer, reads."""
        ...

    def build(self, variant: Variant, folder: Path) -> Variant:
        """Make the deployed file from the exported, perhaps quantized, file; most runtimes have nothing to do."""
        ...

    def open(self, variant: Variant, threads: int) -> Session:
        """Load `variant` on `threads` CPU threads."""
        ...

    @property
    def profiler(self) -> OpenProfiler | None:
        """A function that loads a variant as `open` does, but to time its layers; None where the runtime has none."""
        ...

    def count(self, variant: Variant) -> GraphCost | None:
        """Count the operations of the file that `build` reads; None for a checkpoint, which holds no graph."""
        ...

    def metadata(self, path: Path) -> dict[str, Any]:
        """The metadata of an exported file, as `yolo.export.metadata` wrote it: `names`, `end2end`, `imgsz`."""
        ...

    def writer(self, precision: str) -> Writer | str:
        """The function that writes an exported float32 file in `precision`; else the reason why none can, in words."""
        ...

    @property
    def batching(self) -> Batching | None:
        """How it takes several images in a call, and several calls at once; None where it doesn't."""
        ...

    @property
    def uint8_inputs(self) -> Sequence[Writer]:
        """Functions that write a deployed file for (1, H, W, 3) uint8 BGR, the fastest first; empty where none can."""
        ...

    def int8_recipes(self, cpu: Int8Cpu) -> Sequence[Recipe]:
        """The int8 recipes of this runtime; empty where it has no int8.

        The default for `cpu` comes first, then the one to try where that loses too much.
        """
        ...

    def quantizer(self, source: Path, images: Images, recipe: Any) -> Quantizer:
        """Calibrate the exported float32 file `source` by one of `int8_recipes`."""
        ...
