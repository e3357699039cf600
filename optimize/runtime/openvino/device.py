"""Open an OpenVINO model on the CPU, with its arithmetic pinned: by default it runs float32 in bf16 where it can.

Copied into bundles: only the standard library, numpy and the runtime are imported here, the runtime where it is used.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

Run = Callable[[np.ndarray], list[np.ndarray]]
NAME = "openvino"
SHARES = False  # boxes are in pixels
FORMATS = {  # how the names of kernels end, by what they compute in
    "int8": ("_I8", "_U8", "_i8", "_u8"),
    "bf16": ("_bf16",),
    "fp16": ("_f16",),
    "fp32": ("_f32",),
}
MOVES = {  # layers that move or convert numbers and compute none
    *("Concatenation", "Const", "Convert", "Input", "Output", "Reorder", "Reshape", "Split", "StridedSlice"),
    "Transpose",
}


def version() -> str:
    """Of the runtime."""
    import openvino

    return str(openvino.__version__)


def read(path: Path) -> Any:
    """The `openvino.Model` in a `*_openvino_model` folder, or in an ONNX file."""
    import openvino

    return openvino.Core().read_model(str(path if path.is_file() else next(path.glob("*.xml"))))


def compiled(network: Any, precision: str, threads: int, **more: Any) -> Any:
    """An `openvino.CompiledModel`, as it runs one image at a time; `more` are further properties of the plugin."""
    import openvino

    hint = openvino.Type.bf16 if precision == "bf16" else openvino.Type.f32
    pins = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": hint}
    return openvino.Core().compile_model(network, "CPU", pins | more)


def arithmetic(model: Any) -> str:
    """The number formats of the kernels of a compiled model, without those that only move or convert numbers."""
    layers = [layer.get_rt_info() for layer in model.get_runtime_model().get_ops()]
    names = [layer["primitiveType"].astype(str) for layer in layers if layer["layerType"].astype(str) not in MOVES]
    return "+".join(kind for kind, ends in FORMATS.items() if any(name.endswith(ends) for name in names))


def runner(model: Any) -> Run:
    """(1, 3, H, W) float32 in 0..1 -> the outputs, a list of arrays."""
    return lambda images: list(model(images).values())


def open_model(path: Path, precision: str, threads: int) -> tuple[Run, Callable[[], str]]:
    """The model as a function from (1, 3, H, W) float32 in 0..1 to its outputs, and one that reads its arithmetic back.

    `precision` is what it was made for: bf16 is a hint, not another file.
    """
    model = compiled(read(path), precision, threads)
    return runner(model), lambda: arithmetic(model)
