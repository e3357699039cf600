"""One model on disk, and how it came to be."""

from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path

from optimize.input_size import StoredSize

NMS_FREE = "nms-free"  # the tag of what `nms=false` makes


@dataclass(frozen=True)
class Variant:
    """A model file that some runtime can read.

    Attributes:
        path: the file, or the folder where the format of the runtime needs several files.
        runtime: name of what reads it, e.g. `torch`, `onnxruntime` and `openvino`.
        precision: name of what it was made for, e.g. `fp32` and `int8`.
        imgsz: of the input.
        tags: what was done to the original, in order, e.g. `("pruned", "int8")`.
        steps: the settings of every stage so far, after the identity of the original; they decide the key.
    """

    path: Path
    runtime: str
    precision: str
    imgsz: StoredSize
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
        folder = f"_{self.runtime}_model"
        return folder if self.path.name.endswith(folder) else self.path.suffix

    @property
    def key(self) -> str:
        """Identity: 16 hex digits over every step, so that equal work has an equal key."""
        return sha256("\n".join(self.steps).encode()).hexdigest()[:16]

    def after(self, step: str) -> "Variant":
        """The same variant with one more step in its history."""
        return replace(self, steps=(*self.steps, step))


def without_head(tags: tuple[str, ...]) -> tuple[str, ...]:
    """`tags` without that of the head: what was done to the model that both heads are of."""
    return tuple(tag for tag in tags if tag != NMS_FREE)
