"""OpenVINO on the CPU, with its arithmetic pinned: by default it runs float32 models in bf16 where the CPU has it."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from optimize.int8_cpu import Int8Cpu
from optimize.measure.graph_cost import GraphCost
from optimize.measure.profile import Profiler
from optimize.measure.throughput import Batching
from optimize.runtime.openvino import cost, device, kernels
from optimize.runtime.rule import ordered
from optimize.runtime.session import Images, Quantizer, Session, Writer
from optimize.runtime_info import RuntimeInfo
from optimize.variant import Variant

if TYPE_CHECKING:
    from optimize.runtime.openvino.int8 import OpenvinoRecipe


@dataclass(frozen=True)
class OpenVino:
    """Reads folders of an .xml with its .bin; bf16 is a hint for the same file."""

    info: ClassVar = RuntimeInfo("openvino", "OpenVINO", mark="triangle-up", processor="cpu", package="openvino")
    device_file: ClassVar[Path | None] = Path(__file__).parent / "device.py"

    def unavailable(self) -> str | None:
        return None if find_spec("openvino") else "openvino is not installed (pip install openvino)"

    def export(self, variant: Variant, folder: Path) -> Variant:
        """Write `<stem>_openvino_model/`, the folder name by which ultralytics knows the format."""
        import openvino as ov
        from openvino.passes import ConstantFolding, Manager
        from ultralytics.utils import YAML

        from optimize.yolo.checkpoint import load  # it imports torch, which counting a file doesn't need
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
        return replace(variant, path=target, runtime=self.info.name)

    def build(self, variant: Variant, folder: Path) -> Variant:
        return variant

    def open(self, variant: Variant, threads: int) -> Session:
        network = device.read(variant.path)
        compiled = device.compiled(network, variant.precision, threads)
        int8_ops, _ = kernels.operations(compiled, network)
        return Session(device.runner(compiled), device.arithmetic(compiled), int8_ops)

    def profiler(self, variant: Variant, threads: int) -> Profiler:
        network = device.read(variant.path)
        return kernels.profiler(device.compiled(network, variant.precision, threads, PERF_COUNT=True), network)

    def count(self, variant: Variant) -> GraphCost:
        return cost.count(variant.path)

    def metadata(self, path: Path) -> dict[str, Any]:
        from ultralytics.utils import YAML

        return YAML.load(path / "metadata.yaml")

    def writer(self, precision: str) -> Writer | str:
        if precision == "fp16":
            return _to_half
        if precision == "bf16":
            return _copy if cpu_computes_bf16() else "this CPU has no bf16"
        return "OpenVINO's CPU plugin has no such arithmetic"

    @property
    def batching(self) -> Batching:
        from optimize.runtime.openvino.batch import with_batch
        from optimize.runtime.openvino.streams import open_streams

        return Batching(with_batch, open_streams, device.open_model)

    @property
    def uint8_inputs(self) -> Sequence[Writer]:
        from optimize.runtime.openvino import uint8

        return uint8.divide, uint8.look_up

    def int8_recipes(self, cpu: Int8Cpu) -> "Sequence[OpenvinoRecipe]":
        from optimize.runtime.openvino.int8 import OPENVINO, OPENVINO_FIRST

        return ordered(OPENVINO, OPENVINO_FIRST, cpu)

    def quantizer(self, source: Path, images: Images, recipe: "OpenvinoRecipe") -> Quantizer:
        from optimize.runtime.openvino.int8 import OpenvinoInt8

        return OpenvinoInt8(source, images, recipe)


def _copy(source: Path, target: Path) -> None:
    shutil.copytree(source, target, dirs_exist_ok=True)


def _to_half(source: Path, target: Path) -> None:
    save(device.read(source), target, fp16_weights=True)
    shutil.copy(source / "metadata.yaml", target)


def save(network: Any, folder: Path, *, fp16_weights: bool = False) -> None:
    """Write `network` into `folder`, under the name that the folder's name implies."""
    import openvino as ov

    folder.mkdir(parents=True, exist_ok=True)
    stem = folder.name.removesuffix("_openvino_model")
    ov.save_model(network, folder / f"{stem}.xml", compress_to_fp16=fp16_weights)


def cpu_computes_bf16() -> bool:
    """Whether this CPU has bf16 arithmetic (AVX512-BF16 or AMX), as OpenVINO's plugin reports it."""
    import openvino as ov

    return "BF16" in ov.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
