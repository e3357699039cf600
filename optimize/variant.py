"""One model on disk, and how it came to be."""

from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path

FOLDERS = "openvino", "ncnn"  # runtimes whose formats need several files


@dataclass(frozen=True)
class Variant:
    """A model file that some runtime can read.

    Attributes:
        path: the file, or the folder in a runtime of `FOLDERS`.
        runtime: who reads it: `torch`, `onnxruntime`, `openvino`, `tensorrt`, `ncnn` or `litert`.
        precision: what it was made for: `fp32`, `bf16`, `fp16` or `int8`.
        imgsz: height and width of the input in pixels (square).
        tags: what was done to the original, in order, e.g. `("pruned", "int8")`.
        steps: the settings of every stage so far, after the identity of the original; they decide the key.
    """

    path: Path
    runtime: str
    precision: str
    imgsz: int
    tags: tuple[str, ...] = ()
    steps: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """`original`, `pruned`, `int8`, `pruned+int8` ..."""
        return "+".join(self.tags) or "original"

    @property
    def model(self) -> tuple[str, ...]:
        """The tags without that of the precision: what was done to the model; nothing for the original."""
        return tuple(tag for tag in self.tags if tag != self.precision)

    @property
    def ending(self) -> str:
        """How the name of its file or folder must end, so that ultralytics knows the format."""
        return f"_{self.runtime}_model" if self.runtime in FOLDERS else self.path.suffix

    @property
    def key(self) -> str:
        """Identity: 16 hex digits over every step, so that equal work has an equal key."""
        return sha256("\n".join(self.steps).encode()).hexdigest()[:16]

    def after(self, step: str) -> "Variant":
        """The same variant with one more step in its history."""
        return replace(self, steps=(*self.steps, step))
