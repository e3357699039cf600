"""int8 after training, by the route that proved best for each runtime."""

from dataclasses import dataclass, replace
from pathlib import Path

from optimize.data.calibration import images
from optimize.data.dataset import Dataset
from optimize.variant import Variant


@dataclass(frozen=True)
class Int8:
    """Effect: weights and activations of the network in 8 bits, the decode of the head in float32.

    Reads the exported float32 file; torch runs no int8 here, so its variants come back unchanged.

    Attributes:
        data: the data set whose training split calibrates.
        calibration_images: how many of its pictures; 16 to 128 made no measurable difference on a small set.
        seed: chooses the pictures.
    """

    data: Dataset
    calibration_images: int = 128
    seed: int = 0

    def __call__(self, variant: Variant, folder: Path) -> Variant:
        if variant.runtime == "torch":
            return variant
        pictures = images(self.data, self.calibration_images, self.seed, variant.imgsz)
        target = folder / variant.path.name
        if variant.runtime == "openvino":
            from optimize.quant.openvino_int8 import quantize

            quantize(variant.path, target, pictures)
        else:
            from optimize.quant.onnx_int8 import quantize

            quantize(variant.path, target, pictures, symmetric=variant.runtime == "tensorrt")
        return replace(variant, path=target, precision="int8", tags=(*variant.tags, "int8"))
