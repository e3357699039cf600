"""fp16 weights, and fp16 arithmetic where the runtime has it."""

import shutil
from dataclasses import dataclass, replace
from pathlib import Path

from optimize.runtime.onnx.half import to_half
from optimize.variant import Variant


@dataclass(frozen=True)
class Fp16:
    """Effect: half the size. Whether anything computes in fp16 is the runtime's choice: see `Session.arithmetic`.

    On x86 CPUs ONNX Runtime and OpenVINO store fp16 and compute in fp32. The decode of the head stays in float32, since
    fp16 can't hold a pixel's fraction beyond 2048. torch runs float32 here, and whether ncnn and LiteRT take fp16 is
    chosen on the device, not by the file, so their variants come back unchanged.
    """

    def __call__(self, variant: Variant, folder: Path) -> Variant:
        if variant.runtime in ("torch", "ncnn", "litert"):
            return variant
        target = folder / variant.path.name
        if variant.runtime == "openvino":
            _openvino(variant.path, target)
        else:
            to_half(variant.path, target)
        return replace(variant, path=target, precision="fp16", tags=(*variant.tags, "fp16"))


def _openvino(source: Path, target: Path) -> None:
    from optimize.runtime.openvino import read, save

    save(read(source), target, fp16_weights=True)
    shutil.copy(source / "metadata.yaml", target)
