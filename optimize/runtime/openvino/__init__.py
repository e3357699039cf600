"""OpenVINO on the CPU, with its arithmetic pinned: by default it runs float32 models in bf16 where the CPU has it."""

from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import ClassVar

import numpy as np

from optimize.measure.graph_cost import GraphCost
from optimize.measure.profile import Profiler
from optimize.runtime.openvino import cost, kernels
from optimize.runtime.session import Session
from optimize.variant import Variant


@dataclass(frozen=True)
class OpenVino:
    name: ClassVar[str] = "openvino"

    def unavailable(self) -> str | None:
        return None if find_spec("openvino") else "openvino is not installed (pip install openvino)"

    def export(self, variant: Variant, folder: Path) -> Variant:
        """Write `<stem>_openvino_model/`, the folder name by which ultralytics knows the format."""
        import openvino as ov
        from openvino.passes import ConstantFolding, Manager
        from ultralytics.utils import YAML

        from optimize.yolo.checkpoint import load  # with it comes torch, which counting a file needs not
        from optimize.yolo.export import example_input, metadata, traceable, traced

        model = load(variant.path)
        module, example = traceable(model), example_input(model, variant.imgsz)
        network = ov.convert_model(traced(module, example), example_input=example, input=list(example.shape))
        folding = Manager()
        folding.register_pass(ConstantFolding())  # arithmetic on shapes, which are static
        folding.run_passes(network)
        target = folder / f"{variant.path.stem}_openvino_model"
        save(network, target)
        YAML.save(target / "metadata.yaml", metadata(module, variant.imgsz))
        return replace(variant, path=target, runtime=self.name)

    def build(self, variant: Variant, folder: Path) -> Variant:
        return variant

    def open(self, variant: Variant, threads: int) -> Session:
        network = read(variant.path)
        compiled = _compiled(network, variant, threads)

        def run(images: np.ndarray) -> list[np.ndarray]:
            return list(compiled(images).values())

        int8_ops, _ = kernels.operations(compiled, network)
        return Session(run, kernels.arithmetic(compiled), int8_ops)

    def profiler(self, variant: Variant, threads: int) -> Profiler:
        network = read(variant.path)
        return kernels.profiler(_compiled(network, variant, threads, PERF_COUNT=True), network)

    def count(self, variant: Variant) -> GraphCost:
        return cost.count(variant.path)


def _compiled(network, variant: Variant, threads: int, **more):
    import openvino as ov

    hint = ov.Type.bf16 if variant.precision == "bf16" else ov.Type.f32
    pins = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": hint}
    return ov.Core().compile_model(network, "CPU", pins | more)


def read(path: Path):
    """The `openvino.Model` in a `*_openvino_model` folder, or in an ONNX file."""
    import openvino as ov

    return ov.Core().read_model(path if path.is_file() else next(path.glob("*.xml")))


def save(network, folder: Path, *, fp16_weights: bool = False) -> None:
    """Write `network` into `folder` under the name that goes with it."""
    import openvino as ov

    folder.mkdir(parents=True, exist_ok=True)
    stem = folder.name.removesuffix("_openvino_model")
    ov.save_model(network, folder / f"{stem}.xml", compress_to_fp16=fp16_weights)


def cpu_computes_bf16() -> bool:
    """Whether this CPU has bf16 arithmetic (AVX512-BF16 or AMX), as OpenVINO's plugin reports it."""
    import openvino as ov

    return "BF16" in ov.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
