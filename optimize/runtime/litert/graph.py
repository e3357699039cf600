"""A .tflite file: the graph in it, and the metadata that ultralytics appends to it as an archive."""

import json
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

METADATA = "metadata.json"
NUMBERS = {"FLOAT32": np.float32, "FLOAT16": np.float16, "INT8": np.int8, "INT32": np.int32}


@dataclass(frozen=True)
class Tensor:
    """One tensor.

    Attributes:
        name: unique in its file.
        shape: static; channels come last.
        type: e.g. `FLOAT32` and `INT8`.
        value: of a constant.
    """

    name: str
    shape: tuple[int, ...]
    type: str
    value: np.ndarray | None = field(default=None, repr=False, compare=False)


@dataclass(frozen=True)
class Operator:
    """One operator, e.g. of kind `CONV_2D`; `transposed` where a product takes its first factor so."""

    kind: str
    reads: tuple[Tensor, ...]
    writes: tuple[Tensor, ...]
    transposed: bool = False


@dataclass(frozen=True)
class Graph:
    """Operators in the order of execution, and the names of what comes in and goes out."""

    operators: tuple[Operator, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]

    @property
    def producers(self) -> dict[str, Operator]:
        """By the name of what they write."""
        return {tensor.name: operator for operator in self.operators for tensor in operator.writes}


def read(path: Path) -> Graph:
    """The main graph of a .tflite file."""
    from ai_edge_litert.tools import flatbuffer_utils

    model = flatbuffer_utils.read_model(str(path))
    main = model.subgraphs[0]

    def tensor(found: Any) -> Tensor:
        kind, data = flatbuffer_utils.type_to_name(found.type), model.buffers[found.buffer].data
        shape = tuple(map(int, found.shape)) if found.shape is not None else ()
        stored = data is not None and len(data) and kind in NUMBERS
        value = np.frombuffer(bytes(data), NUMBERS[kind]).reshape(shape) if stored else None
        return Tensor(found.name.decode(), shape, kind, value)

    tensors = [tensor(found) for found in main.tensors]

    def operator(found: Any) -> Operator:
        reads, writes = ([tensors[i] for i in places if i >= 0] for places in (found.inputs, found.outputs))
        transposed = bool(getattr(found.builtinOptions, "adjX", False))
        kind = flatbuffer_utils.opcode_to_name(model, found.opcodeIndex)
        return Operator(kind, tuple(reads), tuple(writes), transposed)

    inputs, outputs = ([tensors[i].name for i in places] for places in (main.inputs, main.outputs))
    return Graph(tuple(map(operator, main.operators)), tuple(inputs), tuple(outputs))


def metadata(path: Path) -> dict[str, Any]:
    """What `append` wrote."""
    with zipfile.ZipFile(path) as archive:
        return json.loads(archive.read(METADATA))


def append(path: Path, found: dict[str, Any]) -> None:
    """Write `found` behind the graph, where LiteRT doesn't look and ultralytics does."""
    entry = zipfile.ZipInfo(METADATA)  # of 1980, so that equal files are equal bytes
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(entry, json.dumps(found))
