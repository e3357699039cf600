"""Open a .tflite file in LiteRT on the CPU.

This file is copied into bundles: it imports only the standard library, numpy and, inside functions, the runtime.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

Run = Callable[[np.ndarray], list[np.ndarray]]
NAME = "litert"
SHARES = True  # boxes are shares of the image, as ultralytics writes and reads these files
FORMATS = {"int8": "INT8", "fp16": "FLOAT16", "fp32": "FLOAT32"}
MOVES = {  # operators that move or convert numbers and compute nothing
    *("BROADCAST_TO", "CONCATENATION", "DEQUANTIZE", "GATHER", "PAD", "QUANTIZE", "RESHAPE", "SLICE", "SPLIT"),
    *("STRIDED_SLICE", "TRANSPOSE"),
}


def version() -> str:
    """The version of the runtime."""
    import ai_edge_litert

    return str(ai_edge_litert.__version__)


def load(path: Path, threads: int) -> Any:
    """An `ai_edge_litert.interpreter.Interpreter` with its tensors allocated."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(path), num_threads=threads)
    interpreter.allocate_tensors()
    return interpreter


def arithmetic(path: Path) -> str:
    """The types of the operators' outputs: in LiteRT these choose the kernels, and nothing changes them later."""
    from ai_edge_litert.tools import flatbuffer_utils

    model = flatbuffer_utils.read_model(str(path))
    graph = model.subgraphs[0]
    names = [flatbuffer_utils.opcode_to_name(model, operator.opcodeIndex) for operator in graph.operators]
    computing = [operator for operator, name in zip(graph.operators, names, strict=True) if name not in MOVES]
    types = {flatbuffer_utils.type_to_name(graph.tensors[i].type) for operator in computing for i in operator.outputs}
    return "+".join(name for name, kind in FORMATS.items() if kind in types)


def runner(interpreter: Any) -> Run:
    """Function from (1, 3, H, W) float32 in 0..1 to the list of outputs, boxes as shares of the image."""
    (source,) = (details["index"] for details in interpreter.get_input_details())
    by_name = sorted(interpreter.get_output_details(), key=lambda output: output["name"])
    outputs = [output["index"] for output in by_name]

    def run(images: np.ndarray) -> list[np.ndarray]:
        interpreter.set_tensor(source, images)
        interpreter.invoke()
        return [interpreter.get_tensor(index) for index in outputs]

    return run


def open_model(path: Path, precision: str, threads: int) -> tuple[Run, Callable[[], str]]:
    """Open the model.

    Returns:
        A function from (1, 3, H, W) float32 in 0..1 to the outputs, and one that reads back the arithmetic that runs.
        The file alone decides the precision; `precision` is ignored.
    """
    return runner(load(path, threads)), lambda: arithmetic(path)
