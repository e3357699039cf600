"""Open an OpenVINO model on the CPU and pin its arithmetic, since OpenVINO by default runs float32 models in bf16.

This file is copied into bundles: it imports only the standard library, numpy and, inside functions, the runtime.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

Run = Callable[[np.ndarray], list[np.ndarray]]
NAME = "openvino"
SHARES = False  # boxes are in pixels
PREPARES = "take_uint8"  # how the names of layers begin that convert a camera's pixels, see uint8.py
FORMATS = {  # the endings of kernel names, by the number format in which these kernels compute
    "int8": ("_I8", "_U8", "_i8", "_u8"),
    "bf16": ("_bf16",),
    "fp16": ("_f16",),
    "fp32": ("_f32",),
}
MOVES = {  # layers that move or convert numbers and compute nothing
    *("Concatenation", "Const", "Convert", "Gather", "Input", "Output", "Reorder", "Reshape", "Split"),
    *("StridedSlice", "Transpose"),
}


def version() -> str:
    """The version of the runtime."""
    import openvino

    return str(openvino.__version__)


def read(path: Path) -> Any:
    """The `openvino.Model` in a `*_openvino_model` folder, or in an ONNX file."""
    import openvino

    return openvino.Core().read_model(str(path if path.is_file() else next(path.glob("*.xml"))))


def compiled(network: Any, precision: str, threads: int, **more: Any) -> Any:
    """An `openvino.CompiledModel` that runs one image at a time; `more` are further properties of the plugin."""
    import openvino

    hint = openvino.Type.bf16 if precision == "bf16" else openvino.Type.f32
    pins = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": hint}
    return openvino.Core().compile_model(network, "CPU", pins | more)


def arithmetic(model: Any) -> str:
    """The number formats of a compiled model's kernels, without kernels that only move or convert numbers."""
    layers = [layer.get_rt_info() for layer in model.get_runtime_model().get_ops()]
    names = [
        layer["primitiveType"].astype(str)
        for layer in layers
        if layer["layerType"].astype(str) not in MOVES
        and not layer["originalLayersNames"].astype(str).startswith(PREPARES)
    ]
    return "+".join(kind for kind, ends in FORMATS.items() if any(name.endswith(ends) for name in names))


def runner(model: Any) -> Run:
    """Function from the input, (1, 3, H, W) float32 in 0..1 in all but some bundles, to the list of outputs."""
    return lambda images: list(model(images).values())


def open_model(path: Path, precision: str, threads: int) -> tuple[Run, Callable[[], str]]:
    """Open the model.

    Returns:
        A function from (1, 3, H, W) float32 in 0..1 to the outputs, and one that reads back the arithmetic that runs.
        `precision` matters for bf16 alone, which is a hint and not another file.
    """
    model = compiled(read(path), precision, threads)
    return runner(model), lambda: arithmetic(model)
