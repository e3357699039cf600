"""Open a .tflite file in LiteRT on the CPU.

Copied into bundles: only the standard library, numpy and the runtime are imported here, the runtime where it is used.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

Run = Callable[[np.ndarray], list[np.ndarray]]
NAME = "litert"
SHARES = True  # boxes are shares of the image, as ultralytics writes and reads these files
FORMATS = {"int8": "INT8", "fp16": "FLOAT16", "fp32": "FLOAT32"}
MOVES = {  # operators that move or convert numbers and compute none
    *("BROADCAST_TO", "CONCATENATION", "DEQUANTIZE", "GATHER", "PAD", "QUANTIZE", "RESHAPE", "SLICE", "SPLIT"),
    *("STRIDED_SLICE", "TRANSPOSE"),
}


def version() -> str:
    """Of the runtime."""
    import ai_edge_litert

    return str(ai_edge_litert.__version__)


def load(path: Path, threads: int) -> Any:
    """An `ai_edge_litert.interpreter.Interpreter` with its memory."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(path), num_threads=threads)
    interpreter.allocate_tensors()
    return interpreter


def arithmetic(path: Path) -> str:
    """The types of what its operators write: in LiteRT they choose the kernels, and nothing changes them."""
    from ai_edge_litert.tools import flatbuffer_utils

    model = flatbuffer_utils.read_model(str(path))
    graph = model.subgraphs[0]
    kinds = [flatbuffer_utils.opcode_to_name(model, one.opcodeIndex) for one in graph.operators]
    computing = [one for one, kind in zip(graph.operators, kinds, strict=True) if kind not in MOVES]
    types = {flatbuffer_utils.type_to_name(graph.tensors[i].type) for one in computing for i in one.outputs}
    return "+".join(name for name, kind in FORMATS.items() if kind in types)


def runner(interpreter: Any) -> Run:
    """(1, 3, H, W) float32 in 0..1 -> the outputs, a list of arrays, boxes as shares of the image."""
    (source,) = (details["index"] for details in interpreter.get_input_details())
    outputs = [found["index"] for found in sorted(interpreter.get_output_details(), key=lambda found: found["name"])]

    def run(images: np.ndarray) -> list[np.ndarray]:
        interpreter.set_tensor(source, images)
        interpreter.invoke()
        return [interpreter.get_tensor(index) for index in outputs]

    return run


def open_model(path: Path, precision: str, threads: int) -> tuple[Run, Callable[[], str]]:
    """The model as a function from (1, 3, H, W) float32 in 0..1 to its outputs, and one that reads its arithmetic back.

    The file alone decides about the precision.
    """
    return runner(load(path, threads)), lambda: arithmetic(path)
