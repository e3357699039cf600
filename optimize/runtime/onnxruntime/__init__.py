"""ONNX Runtime on the CPU."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from optimize.int8_cpu import Int8Cpu
from optimize.measure.graph_cost import GraphCost
from optimize.measure.profile import Profiler
from optimize.measure.throughput import Batching
from optimize.runtime import onnx
from optimize.runtime.onnx import cost
from optimize.runtime.onnxruntime import device, kernels
from optimize.runtime.rule import ordered
from optimize.runtime.session import Images, Quantizer, Session, Writer
from optimize.runtime_info import RuntimeInfo
from optimize.variant import Variant

if TYPE_CHECKING:
    from optimize.runtime.onnx.int8 import OnnxRecipe


@dataclass(frozen=True)
class OnnxRuntime:
    """Reads ONNX files; one precision is one file, and the types in it choose the kernels."""

    info: ClassVar = RuntimeInfo("onnxruntime", "ONNX Runtime", mark="square", processor="cpu", package="onnxruntime")
    device_file: ClassVar[Path | None] = Path(__file__).parent / "device.py"

    def unavailable(self) -> str | None:
        return None if find_spec("onnxruntime") else "onnxruntime is not installed (pip install onnxruntime)"

    def export(self, variant: Variant, folder: Path) -> Variant:
        from optimize.yolo.checkpoint import load  # it imports torch, which counting a file doesn't need
        from optimize.yolo.export import to_onnx

        target = folder / f"{variant.path.stem}.onnx"
        to_onnx(load(variant.path), variant.imgsz, target)
        return replace(variant, path=target, runtime=self.info.name)

    def build(self, variant: Variant, folder: Path) -> Variant:
        return variant

    def open(self, variant: Variant, threads: int) -> Session:
        run = device.runner(device.session(variant.path, device.options(threads)))
        profiled = device.kernels(variant.path, device.options(threads))  # from another session, with a profiler
        int8_ops, _ = kernels.operations(profiled)
        return Session(run, device.arithmetic(profiled), int8_ops)

    def profiler(self, variant: Variant, threads: int) -> Profiler:
        return kernels.profiler(variant.path, device.options(threads))

    def count(self, variant: Variant) -> GraphCost:
        return cost.count(variant.path)

    def metadata(self, path: Path) -> dict[str, Any]:
        return onnx.metadata(path)

    def writer(self, precision: str) -> Writer | str:
        from optimize.runtime.onnx.half import to_half

        return to_half if precision == "fp16" else "ONNX Runtime has no such kernels on CPUs"

    @property
    def batching(self) -> Batching:
        from optimize.runtime.onnx.batch import with_batch
        from optimize.runtime.onnxruntime.streams import open_streams

        return Batching(with_batch, open_streams, device.open_model)

    @property
    def uint8_inputs(self) -> Sequence[Writer]:
        from optimize.runtime.onnx.uint8 import take_uint8

        return (take_uint8,)

    def int8_recipes(self, cpu: Int8Cpu) -> "Sequence[OnnxRecipe]":
        from optimize.runtime.onnx.int8 import ONNXRUNTIME, ONNXRUNTIME_FIRST

        return ordered(ONNXRUNTIME, ONNXRUNTIME_FIRST, cpu)

    def quantizer(self, source: Path, images: Images, recipe: "OnnxRecipe") -> Quantizer:
        from optimize.runtime.onnx.int8 import OnnxInt8

        return OnnxInt8(source, images, recipe)
