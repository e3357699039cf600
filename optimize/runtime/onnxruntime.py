"""ONNX Runtime on the CPU."""

import json
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import ClassVar

import numpy as np

from optimize.measure import onnx_cost
from optimize.measure.graph_cost import GraphCost
from optimize.runtime.session import Session
from optimize.variant import Variant
from optimize.yolo.checkpoint import load
from optimize.yolo.export import to_onnx


@dataclass(frozen=True)
class OnnxRuntime:
    name: ClassVar[str] = "onnxruntime"

    def unavailable(self) -> str | None:
        return None if find_spec("onnxruntime") else "onnxruntime is not installed (pip install onnxruntime)"

    def export(self, variant: Variant, folder: Path) -> Variant:
        target = folder / f"{variant.path.stem}.onnx"
        to_onnx(load(variant.path), variant.imgsz, target)
        return replace(variant, path=target, runtime=self.name)

    def build(self, variant: Variant, folder: Path) -> Variant:
        return variant

    def open(self, variant: Variant, threads: int) -> Session:
        import onnxruntime as ort

        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
        options.log_severity_level = 3
        # Waiting threads sleep: the same latency for a fifth less CPU time, and fair to whatever runs beside it.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        session = ort.InferenceSession(variant.path, options, providers=["CPUExecutionProvider"])
        name = session.get_inputs()[0].name

        def run(images: np.ndarray) -> list[np.ndarray]:
            return session.run(None, {name: images})

        return Session(run, _arithmetic(variant.path, options))

    def count(self, variant: Variant) -> GraphCost:
        return onnx_cost.count(variant.path)


def _arithmetic(path: Path, options) -> str:
    """The precisions that the kernels of one profiled run really computed in; the session in use has no profiler.

    The file doesn't tell: Q/DQ pairs become int8 kernels only where they fuse, and a CPU without fp16 kernels runs fp16
    as fp32.
    """
    import onnxruntime as ort

    with TemporaryDirectory() as folder:
        options.enable_profiling = True
        options.profile_file_prefix = f"{folder}/profile"
        session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        feed = session.get_inputs()[0]
        session.run(None, {feed.name: np.zeros(feed.shape, np.float32)})
        events = json.loads(Path(session.end_profiling()).read_text())
    kernels = (event["args"] for event in events if event["name"].endswith("_kernel_time"))
    outputs = (kernel["output_type_shape"] for kernel in kernels if kernel["op_name"] not in _MOVES)
    types = {name for output in outputs for tensor in output for name in tensor}
    return "+".join(precision for precision, names in _PRECISIONS.items() if types & names)


_PRECISIONS = {"int8": {"int8", "uint8"}, "bf16": {"bfloat16"}, "fp16": {"float16"}, "fp32": {"float"}}
_MOVES = {  # operators that move or convert numbers and compute none
    *(
        "Cast",
        "Concat",
        "DequantizeLinear",
        "Gather",
        "QLinearConcat",
        "QuantizeLinear",
        "ReorderInput",
        "ReorderOutput",
    ),
    *("Reshape", "Slice", "Split", "Squeeze", "Transpose", "Unsqueeze"),
}
