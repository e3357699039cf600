"""ncnn's two files, the graph as text and the weights in its order; and a network loaded with its arithmetic pinned.

The format: https://github.com/Tencent/ncnn/wiki/param-and-model-file-structure
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from optimize.errors import OptimizeError
from optimize.runtime.ncnn import device
from optimize.runtime.ncnn.device import BIN, PARAM

MAGIC = "7767517"
FLAGS: dict[int, type[np.number]] = {
    0: np.float32,
    0x000D4B38: np.int8,
}  # in front of weights, the type they are stored in
DEPTHWISE = {"ConvolutionDepthWise", "DeconvolutionDepthWise"}  # also grouped
CONVOLUTIONS = {"Convolution", "Deconvolution", *DEPTHWISE}


@dataclass(frozen=True)
class Layer:
    """One operator.

    Attributes:
        kind, name: of the layer.
        reads, writes: names of tensors.
        settings: by the numbers that ncnn gives them, as written in the file.
        arrays: for a layer with weights these, then the bias where it has one, and if it is int8 the scale of each
            output channel (of each group, where grouped) and that of its input; a scale is int8 numbers per unit.
    """

    kind: str
    name: str
    reads: tuple[str, ...]
    writes: tuple[str, ...]
    settings: dict[int, str]
    arrays: tuple[np.ndarray, ...] = field(default=(), repr=False)

    def number(self, setting: int) -> int:
        """A whole number among the settings; 0 where it is not given, as ncnn has it for sizes and switches."""
        return int(self.settings.get(setting, 0))

    @property
    def int8(self) -> bool:
        return self.kind in (*CONVOLUTIONS, "InnerProduct") and self.number(8) > 0

    @property
    def bias(self) -> np.ndarray | None:
        return self.arrays[1] if self.number(1 if self.kind == "InnerProduct" else 5) else None


def read(folder: Path) -> list[Layer]:
    """The layers of a `*_ncnn_model` folder in the order of execution.

    Raises:
        OptimizeError: the weights are not those that the graph asks for, as far as we know its layers.
    """
    layers, content, at = _graph(folder), (folder / BIN).read_bytes(), 0
    for i, layer in enumerate(layers):
        arrays = []
        for size, flagged in _sizes(layer):
            kind: type[np.number] | None = np.float32
            if flagged:
                kind = FLAGS.get(int.from_bytes(content[at : at + 4], "little"))
                at += 4
            if kind is None or at + size * np.dtype(kind).itemsize > len(content):
                raise _unknown(folder, layers)
            arrays.append(np.frombuffer(content, kind, size, at))
            at += _padded(arrays[-1].nbytes)
        layers[i] = Layer(layer.kind, layer.name, layer.reads, layer.writes, layer.settings, tuple(arrays))
    if at != len(content):
        raise _unknown(folder, layers)
    return layers


def foreign(folder: Path) -> list[str]:
    """Operators that the converter left as they were, by the names of torch or its own, since ncnn has none such."""
    return sorted({layer.kind for layer in _graph(folder) if "." in layer.kind})


def write(layers: list[Layer], folder: Path) -> None:
    """Write both files into `folder`; the caller writes the metadata."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors = sum(len(layer.writes) for layer in layers)
    lines = [MAGIC, f"{len(layers)} {tensors}", *map(_line, layers)]
    (folder / PARAM).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8", newline="\n")
    with (folder / BIN).open("wb") as file:
        for layer in layers:
            for array, (_, flagged) in zip(layer.arrays, _sizes(layer), strict=True):
                if flagged:
                    flag = next(flag for flag, kind in FLAGS.items() if kind == array.dtype)
                    file.write(flag.to_bytes(4, "little"))
                file.write(array.tobytes().ljust(_padded(array.nbytes), b"\0"))


def load(folder: Path, threads: int) -> Any:
    """As `device.load`.

    Raises:
        OptimizeError: ncnn can't read the files.
    """
    with one_sentence():
        return device.load(folder, threads)


def tensors(net: Any, names: Iterable[str], images: np.ndarray) -> dict[str, np.ndarray]:
    """As `device.tensors`, at any of the network's tensors.

    Raises:
        OptimizeError: ncnn failed.
    """
    with one_sentence():
        return device.tensors(net, names, images)


@contextmanager
def one_sentence() -> Iterator[None]:
    """Convert ncnn's RuntimeError into an OptimizeError."""
    try:
        yield
    except RuntimeError as error:
        raise OptimizeError(f"{error}.") from error


def _graph(folder: Path) -> list[Layer]:
    _, _, *lines = (folder / PARAM).read_text(encoding="utf-8").splitlines()
    return [_parsed(line) for line in lines]


def _parsed(line: str) -> Layer:
    kind, name, inputs, outputs, *rest = line.split()
    reads, writes = rest[: int(inputs)], rest[int(inputs) : int(inputs) + int(outputs)]
    settings = (word.split("=") for word in rest[int(inputs) + int(outputs) :])
    return Layer(kind, name, tuple(reads), tuple(writes), {int(key): value for key, value in settings})


def _line(layer: Layer) -> str:
    settings = (f"{key}={value}" for key, value in layer.settings.items())
    counts = (str(len(layer.reads)), str(len(layer.writes)))
    return " ".join([layer.kind, layer.name, *counts, *layer.reads, *layer.writes, *settings])


def _sizes(layer: Layer) -> list[tuple[int, bool]]:
    """How many numbers each array of a layer has, and whether a flag stands in front of it."""
    if layer.kind == "MemoryData":
        return [(prod(filter(None, map(layer.number, (0, 1, 11, 2)))), False)]
    if layer.kind not in (*CONVOLUTIONS, "InnerProduct"):
        return []
    weights, bias = (6, 5) if layer.kind in CONVOLUTIONS else (2, 1)
    found = [(layer.number(weights), True), *([(layer.number(0), False)] if layer.number(bias) else [])]
    scales = layer.number(7) if layer.kind in DEPTHWISE else layer.number(0)
    return [*found, (scales, False), (1, False)] if layer.int8 else found


def _padded(size: int) -> int:
    return -(-size // 4) * 4


def _unknown(folder: Path, layers: list[Layer]) -> OptimizeError:
    kinds = ", ".join(sorted({layer.kind for layer in layers}))
    return OptimizeError(
        f"the weights in {folder} can't be read: one of its layers stores other arrays than this program expects "
        f"({kinds}); leave runtime=ncnn out for this model, and please report it."
    )
