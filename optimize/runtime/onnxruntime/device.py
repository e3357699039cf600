"""Open an ONNX file in ONNX Runtime on the CPU.

This file is copied into bundles: it imports only the standard library, numpy and, inside functions, the runtime.
"""

import json
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

Run = Callable[[np.ndarray], list[np.ndarray]]
Kernels = list[dict[str, Any]]  # one entry for each kernel of one run
NAME = "onnxruntime"
SHARES = False  # boxes are in pixels
FORMATS = {"int8": ("int8", "uint8"), "bf16": ("bfloat16",), "fp16": ("float16",), "fp32": ("float",)}
MOVES = {  # operators that move or convert numbers and compute nothing
    *("Cast", "Concat", "DequantizeLinear", "Gather", "QLinearConcat", "QuantizeLinear", "ReorderInput"),
    *("ReorderOutput", "Reshape", "Slice", "Split", "Squeeze", "Transpose", "Unsqueeze"),
}
RAN = "_kernel_time"
TYPES = {"tensor(float)": np.float32, "tensor(uint8)": np.uint8}  # of an input


def version() -> str:
    """The version of the runtime."""
    import onnxruntime

    return str(onnxruntime.__version__)


def options(threads: int) -> Any:
    """The `onnxruntime.SessionOptions` of a session that runs one image at a time."""
    import onnxruntime

    chosen = onnxruntime.SessionOptions()
    chosen.intra_op_num_threads = threads
    chosen.inter_op_num_threads = 1
    chosen.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    chosen.log_severity_level = 3
    # Waiting threads sleep instead of spinning, so that the thread that decodes the next frame has the cores: frames of
    # a video 1.2x as fast. The graph alone is up to 13 % slower (docs/bundle.md).
    chosen.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return chosen


def session(path: Path, chosen: Any, **more: Any) -> Any:
    """The `onnxruntime.InferenceSession` of a file, with `chosen`, which `options` returned."""
    import onnxruntime

    return onnxruntime.InferenceSession(str(path), chosen, providers=["CPUExecutionProvider"], **more)


def kernels(path: Path, chosen: Any, **more: Any) -> Kernels:
    """Profile one run: for each kernel its `op_name`, and the type and shape of every input and output.

    Args:
        path: the ONNX file.
        chosen: the options of the session that is asked about; they are changed.
        more: further arguments of `session`.
    """
    with TemporaryDirectory() as folder:
        chosen.enable_profiling = True
        chosen.profile_file_prefix = f"{folder}/profile"
        # Without this a kernel packs its weights and frees the original, which is then missing in the profile.
        chosen.add_session_config_entry("session.disable_prepacking", "1")
        profiled = session(path, chosen, **more)
        feed = profiled.get_inputs()[0]
        profiled.run(None, {feed.name: np.zeros(feed.shape, TYPES[feed.type])})
        events = json.loads(Path(profiled.end_profiling()).read_text(encoding="utf-8"))
    return [event["args"] for event in events if event["name"].endswith(RAN)]


def arithmetic(ran: Kernels) -> str:
    """The number formats of the outputs of the kernels `ran`, without kernels that only move or convert numbers."""
    outputs = (kernel["output_type_shape"] for kernel in ran if kernel["op_name"] not in MOVES)
    types = {name for output in outputs for tensor in output for name in tensor}
    return "+".join(kind for kind, names in FORMATS.items() if types & set(names))


def runner(opened: Any) -> Run:
    """Function from the input, (1, 3, H, W) float32 in 0..1 in all but some bundles, to the list of outputs."""
    feed = opened.get_inputs()[0].name
    return lambda images: opened.run(None, {feed: images})


def open_model(path: Path, precision: str, threads: int) -> tuple[Run, Callable[[], str]]:
    """Open the model.

    Returns:
        A function from (1, 3, H, W) float32 in 0..1 to the outputs, and one that reads back the arithmetic that runs.
        The file alone decides the precision; `precision` is ignored.
    """
    return runner(session(path, options(threads))), lambda: arithmetic(kernels(path, options(threads)))
