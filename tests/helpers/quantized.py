"""An int8 file by one recipe, without a validation."""

from dataclasses import replace
from pathlib import Path

from helpers.runtimes import ALL
from optimize.data.calibration import calibration_images
from optimize.dataset import Dataset
from optimize.host.cpu import int8_cpu
from optimize.variant import Variant


def quantized(variant: Variant, data: Dataset, folder: Path, recipe: int = 0, floats: tuple[str, ...] = ()) -> Variant:
    """`variant`, exported, in int8 by the recipe of that index; 0 is the default of its runtime."""
    target = folder / variant.path.name
    images = calibration_images(data, 128, seed=0, imgsz=variant.imgsz)
    runtime = ALL[variant.runtime]
    runtime.quantizer(variant.path, images, runtime.int8_recipes(int8_cpu())[recipe]).write(target, floats)
    return replace(variant, path=target, precision="int8", tags=(*variant.tags, "int8"))
