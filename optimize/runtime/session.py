"""What every runtime offers, and what it gives back when a variant is opened."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol

import numpy as np

from optimize.measure.graph_cost import GraphCost
from optimize.measure.profile import Profiler
from optimize.runtime_info import RuntimeInfo
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


class Images(Protocol):
    """Images to calibrate with: (1, 3, H, W) float32 arrays in 0..1, the same ones each time it is iterated over."""

    def __iter__(self) -> Iterator[np.ndarray]: ...

    def __len__(self) -> int: ...


class Recipe(Protocol):
    """One way to make a runtime's files int8; every runtime has its own kind."""

    @property
    def name(self) -> str: ...


class Quantizer(Protocol):
    """A file that was calibrated, from which int8 files are written with more or fewer layers left in float.

    Attributes:
        layers: names of the layers that become int8, in the graph's order.
        images: what it was calibrated with.
    """

    layers: list[str]
    images: Images

    def write(self, target: Path, floats: Sequence[str] = ()) -> None:
        """Write the int8 file or folder `target`; the layers `floats` stay in float."""
        ...

    def logits(self, path: Path) -> Callable[[np.ndarray], list[np.ndarray]]:
        """Runs the file `path`, the source or one that `write` wrote, up to what its post-processing is given."""
        ...


Writer = Callable[[Path, Path], None]  # from an exported float32 file to the same in another precision


class Runtime(Protocol):
    """One way to run a model: a frozen dataclass in a folder of its own, which holds all that belongs to it.

    `export` and `build` are stages: `apply(runtime.export, variant, store)`. Their identity is that of the dataclass,
    with the name of the method.

    Attributes:
        info: what the report says of it.
        device_file: the module that opens its files in a bundle, copied there: only the standard library, numpy and
            the runtime are imported in it (see docs/extending/runtime.md); None where no bundle can be made for it.
    """

    info: ClassVar[RuntimeInfo]
    device_file: ClassVar[Path | None]

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

    def metadata(self, path: Path) -> dict[str, Any]:
        """What an exported file says of itself, as `yolo.export.metadata` wrote it: `names`, `end2end`, `imgsz`."""
        ...

    def writer(self, precision: str) -> Writer | str:
        """What writes an exported float32 file in `precision`; else why there is no such file, in a few words."""
        ...

    def int8_recipes(self) -> Sequence[Recipe]:
        """The ways in which its files become int8, the default first; none where they can't."""
        ...

    def quantizer(self, source: Path, images: Images, recipe: Any) -> Quantizer:
        """The exported float32 file `source`, calibrated by one of `int8_recipes`."""
        ...
