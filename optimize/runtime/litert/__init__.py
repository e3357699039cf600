"""LiteRT, formerly TensorFlow Lite, on the CPU: what phones run."""

from contextlib import redirect_stdout
from dataclasses import dataclass, replace
from importlib.util import find_spec
from io import StringIO
from pathlib import Path
from typing import ClassVar

import numpy as np

from optimize.errors import OptimizeError, described
from optimize.host.process import fresh
from optimize.measure.graph_cost import GraphCost
from optimize.runtime.litert import cost
from optimize.runtime.litert.graph import append, metadata, read
from optimize.runtime.session import Session
from optimize.variant import Variant
from optimize.yolo import export
from optimize.yolo.checkpoint import load

PACKAGES = {
    "ai_edge_litert": "ai-edge-litert",
    "ai_edge_quantizer": "ai-edge-quantizer",
    "litert_torch": "litert-torch",
}


@dataclass(frozen=True)
class LiteRT:
    name: ClassVar[str] = "litert"

    def unavailable(self) -> str | None:
        missing = [package for module, package in PACKAGES.items() if not find_spec(module)]
        verb = "is" if len(missing) == 1 else "are"
        return f"{', '.join(missing)} {verb} not installed (pip install 'yolo-optimize[litert]')" if missing else None

    def export(self, variant: Variant, folder: Path) -> Variant:
        """Write `<stem>.tflite`, whose boxes are shares of the image, as ultralytics reads them.

        Raises:
            OptimizeError: litert-torch can't translate the model.
        """
        target = folder / f"{variant.path.stem}.tflite"
        fresh(_convert, variant.path, variant.imgsz, target)  # its libraries change torch and hold a gigabyte
        return replace(variant, path=target, runtime=self.name)

    def build(self, variant: Variant, folder: Path) -> Variant:
        return variant

    def open(self, variant: Variant, threads: int) -> Session:
        from ai_edge_litert.interpreter import Interpreter

        interpreter = Interpreter(str(variant.path), num_threads=threads)
        interpreter.allocate_tensors()
        (source,) = (details["index"] for details in interpreter.get_input_details())
        outputs = [d["index"] for d in sorted(interpreter.get_output_details(), key=lambda d: d["name"])]
        found = metadata(variant.path)

        def run(images: np.ndarray) -> list[np.ndarray]:
            interpreter.set_tensor(source, images)
            interpreter.invoke()
            return export.in_pixels(found, [interpreter.get_tensor(index) for index in outputs])

        return Session(run, _arithmetic(variant.path), self.count(variant).int_ops)

    def profiler(self, variant: Variant, threads: int) -> None:
        """Its Python interface has no times by layer."""

    def count(self, variant: Variant) -> GraphCost:
        return cost.count(variant.path)


def _convert(checkpoint: Path, imgsz: int, target: Path) -> None:
    with redirect_stdout(StringIO()):  # forty lines of progress
        import litert_torch

        model = load(checkpoint)
        module, example = export.traceable(model), export.example_input(model, imgsz)
        module(example)  # the head makes its anchors at the first call; exported, they must be constants
        try:
            litert_torch.convert(export.in_shares(module, imgsz).eval(), (example,)).export(str(target))
        except Exception as error:  # whatever its passes raise
            raise OptimizeError(
                f"litert-torch {litert_torch.__version__} can't translate the model to LiteRT ({described(error)}); "
                "leave runtime=litert out for this model."
            ) from None
    append(target, export.metadata(module, imgsz))


def _arithmetic(path: Path) -> str:
    """The types of what its operators write: in LiteRT they choose the kernels, and nothing changes them."""
    types = {
        tensor.type for operator in read(path).operators if operator.kind not in MOVES for tensor in operator.writes
    }
    return "+".join(name for name, kind in NAMES.items() if kind in types)


NAMES = {"int8": "INT8", "fp16": "FLOAT16", "fp32": "FLOAT32"}
MOVES = {  # operators that move or convert numbers and compute none
    *("BROADCAST_TO", "CONCATENATION", "DEQUANTIZE", "GATHER", "PAD", "QUANTIZE", "RESHAPE", "SLICE", "SPLIT"),
    *("STRIDED_SLICE", "TRANSPOSE"),
}
