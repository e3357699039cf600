"""ONNX Runtime on the CPU."""

from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import ClassVar

import numpy as np

from optimize.measure.graph_cost import GraphCost
from optimize.measure.profile import Profiler
from optimize.runtime.onnx import cost
from optimize.runtime.onnxruntime import kernels
from optimize.runtime.session import Session
from optimize.variant import Variant


@dataclass(frozen=True)
class OnnxRuntime:
    name: ClassVar[str] = "onnxruntime"

    def unavailable(self) -> str | None:
        return None if find_spec("onnxruntime") else "onnxruntime is not installed (pip install onnxruntime)"

    def export(self, variant: Variant, folder: Path) -> Variant:
        from optimize.yolo.checkpoint import load  # with it comes torch, which counting a file needs not
        from optimize.yolo.export import to_onnx

        target = folder / f"{variant.path.stem}.onnx"
        to_onnx(load(variant.path), variant.imgsz, target)
        return replace(variant, path=target, runtime=self.name)

    def build(self, variant: Variant, folder: Path) -> Variant:
        return variant

    def open(self, variant: Variant, threads: int) -> Session:
        import onnxruntime as ort

        options = _options(threads)
        session = ort.InferenceSession(variant.path, options, providers=["CPUExecutionProvider"])
        name = session.get_inputs()[0].name

        def run(images: np.ndarray) -> list[np.ndarray]:
            return session.run(None, {name: images})

        ran = kernels.run(variant.path, options)  # a session of its own: the one in use has no profiler
        int8_ops, _ = kernels.operations(ran)
        return Session(run, kernels.arithmetic(ran), int8_ops)

    def profiler(self, variant: Variant, threads: int) -> Profiler:
        return kernels.profiler(variant.path, _options(threads))

    def count(self, variant: Variant) -> GraphCost:
        return cost.count(variant.path)


def _options(threads: int):
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = 3
    # Waiting threads sleep: the same latency for a fifth less CPU time, and fair to whatever runs beside it.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return options
