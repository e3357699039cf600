"""The ways to make int8 that each runtime has, and a model calibrated for one of them."""

from optimize.data.calibration import CalibrationImages
from optimize.quant.sensitivity import Quantizer
from optimize.variant import Variant


def recipes_for(runtime: str) -> tuple:
    """Recipes of that runtime's own kind; the first is the default."""
    if runtime == "openvino":
        from optimize.runtime.openvino.int8 import OPENVINO

        return OPENVINO
    if runtime == "ncnn":
        from optimize.runtime.ncnn.int8 import NCNN

        return NCNN
    if runtime == "litert":
        from optimize.runtime.litert.int8 import LITERT

        return LITERT
    from optimize.runtime.onnx.int8 import ONNXRUNTIME, TENSORRT

    return TENSORRT if runtime == "tensorrt" else ONNXRUNTIME


def calibrated(variant: Variant, images: CalibrationImages, recipe) -> Quantizer:
    """What writes int8 files of `variant` by `recipe`, one of `recipes_for(variant.runtime)`.

    Args:
        variant: an exported float32 file.
        images: set the ranges.
        recipe: how.
    """
    if variant.runtime == "openvino":
        from optimize.runtime.openvino.int8 import OpenvinoInt8

        return OpenvinoInt8(variant.path, images, recipe)
    if variant.runtime == "ncnn":
        from optimize.runtime.ncnn.int8 import NcnnInt8

        return NcnnInt8(variant.path, images, recipe)
    if variant.runtime == "litert":
        from optimize.runtime.litert.int8 import LitertInt8

        return LitertInt8(variant.path, images, recipe)
    from optimize.runtime.onnx.int8 import OnnxInt8

    return OnnxInt8(variant.path, images, recipe)
