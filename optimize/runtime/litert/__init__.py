"""LiteRT, formerly TensorFlow Lite, on the CPU, for phones and small boards."""

from collections.abc import Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass, replace
from importlib.util import find_spec
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from optimize.errors import OptimizeError, described
from optimize.host.process import run_in_new_process
from optimize.input_size import Size
from optimize.int8_cpu import Int8Cpu
from optimize.measure.graph_cost import GraphCost
from optimize.runtime.litert import cost, device, graph
from optimize.runtime.session import Images, Quantizer, Session
from optimize.runtime_info import RuntimeInfo
from optimize.variant import Variant

if TYPE_CHECKING:
    from optimize.runtime.litert.int8 import LitertRecipe

PACKAGES = {
    "ai_edge_litert": "ai-edge-litert",
    "ai_edge_quantizer": "ai-edge-quantizer",
    "litert_torch": "litert-torch",
}


NOT_IN_THE_FILE = "whether it computes in fp16 is chosen on the device"


@dataclass(frozen=True)
class LiteRT:
    """Reads .tflite files; int8 is written into them, fp16 is chosen on the device."""

    info: ClassVar = RuntimeInfo("litert", "LiteRT", mark="cross", processor="cpu", package="ai-edge-litert")
    device_file: ClassVar[Path | None] = Path(__file__).parent / "device.py"
    uint8_inputs: ClassVar[tuple[()]] = ()
    batching: ClassVar[None] = None
    profiler: ClassVar[None] = None  # LiteRT's Python interface reports no times by layer

    def unavailable(self) -> str | None:
        missing = [package for module, package in PACKAGES.items() if not find_spec(module)]
        verb = "is" if len(missing) == 1 else "are"
        return f"{', '.join(missing)} {verb} not installed (pip install '.[litert]')" if missing else None

    def export(self, variant: Variant, folder: Path) -> Variant:
        """Write `<stem>.tflite`, whose boxes are shares of the image, as ultralytics reads them.

        Raises:
            OptimizeError: litert-torch can't translate the model.
        """
        target = folder / f"{variant.path.stem}.tflite"
        from optimize.yolo.checkpoint import load
        from optimize.yolo.two_heads import is_end_to_end

        if is_end_to_end(load(variant.path)):
            raise OptimizeError(
                "LiteRT can't hold a head that needs no NMS: in int8 boxes, confidence and class index share a scale, "
                "so the index is lost; take runtime=[onnxruntime] or [openvino] for it."
            )
        # litert-torch and its dependencies patch torch and hold a gigabyte of memory
        run_in_new_process(_convert, variant.path, variant.imgsz, target)
        return replace(variant, path=target, runtime=self.info.name)

    def build(self, variant: Variant, folder: Path) -> Variant:
        return variant

    def open(self, variant: Variant, threads: int) -> Session:
        from optimize.yolo.export import in_pixels

        run, metadata = device.runner(device.load(variant.path, threads)), self.metadata(variant.path)

        def run_in_pixels(images: np.ndarray) -> list[np.ndarray]:
            return in_pixels(metadata, run(images))

        return Session(run_in_pixels, device.arithmetic(variant.path), self.count(variant).int_ops)

    def count(self, variant: Variant) -> GraphCost:
        return cost.count(variant.path)

    def metadata(self, path: Path) -> dict[str, Any]:
        metadata = graph.metadata(path)
        return metadata | {"names": {int(i): name for i, name in metadata["names"].items()}}  # JSON keys are strings

    def writer(self, precision: str) -> str:
        return NOT_IN_THE_FILE if precision == "fp16" else "LiteRT has no such files"

    def int8_recipes(self, cpu: Int8Cpu) -> "Sequence[LitertRecipe]":
        from optimize.runtime.litert.int8 import LITERT

        return LITERT

    def quantizer(self, source: Path, images: Images, recipe: "LitertRecipe") -> Quantizer:
        from optimize.runtime.litert.int8 import LitertInt8

        return LitertInt8(source, images, recipe)


def _convert(checkpoint: Path, imgsz: Size, target: Path) -> None:
    with redirect_stdout(StringIO()):  # forty lines of progress
        import litert_torch

        from optimize.yolo import export
        from optimize.yolo.checkpoint import load

        model = load(checkpoint)
        module, example = export.traceable(model), export.example_input(model, imgsz)
        module(example)  # the head computes its anchors at the first call; in the exported file they must be constants
        try:
            litert_torch.convert(export.in_shares(module, imgsz).eval(), (example,)).export(str(target))
        except Exception as error:  # its conversion passes raise anything
            raise OptimizeError(
                f"litert-torch {litert_torch.__version__} can't translate the model to LiteRT ({described(error)}); "
                "leave runtime=litert out for this model."
            ) from None
    graph.append(target, export.metadata(module, imgsz))
