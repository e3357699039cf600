"""What ncnn really computed, told from the numbers that its layers give, since it names no kernels.

A sum of products of integers is an integer, so the output of an int8 layer without its bias is a whole multiple of one
step per channel; the output of a float layer is not. Numbers of fp16 or bf16 survive being rounded to it again, those
of fp32 do not.
"""

from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np

from optimize.input_size import Size
from optimize.runtime.ncnn.cost import counted
from optimize.runtime.ncnn.net import DEPTHWISE, Layer, read, tensors

NEAR, MOST = 0.1, 0.99  # to a whole number; this share of the outputs, of which a fifth are near by chance
LARGEST, LARGEST_DEPTHWISE = 30_000, 300  # larger ones lose those digits; depthwise kernels estimate a reciprocal
FEWEST = 8  # outputs that can tell; with fewer the file is believed, as ncnn has no float kernel for 8-bit weights


def ran(folder: Path, net: Any, imgsz: Size) -> tuple[str, int]:
    """The number formats in which the `net` of `folder` computes, and the operations for one image in int8."""
    found = counted(read(folder), net, imgsz)
    noise = np.random.default_rng(0).random((1, 3, imgsz.height, imgsz.width), dtype=np.float32)
    made = tensors(net, [layer.writes[0] for layer, _ in found], noise)
    integer = {layer.writes for layer, _ in found if layer.int8 and _on_steps(layer, made[layer.writes[0]])}
    floats = [made[layer.writes[0]] for layer, _ in found if layer.writes not in integer]
    in_int8 = sum(2 * multiply_adds for layer, multiply_adds in found if layer.writes in integer)
    return "+".join((["int8"] if integer else []) + _float_formats(floats)), in_int8


def _float_formats(outputs: list[np.ndarray]) -> list[str]:
    """The formats of the outputs of float layers, the narrowest first; those with few values only where all have."""
    telling = [output for output in outputs if np.unique(output).size >= FEWEST] or outputs
    formats = {_float_format(output) for output in telling}
    return [name for name in ("bf16", "fp16", "fp32") if name in formats]


def _on_steps(layer: Layer, output: np.ndarray) -> bool:
    """Whether the outputs are sums of integers; of those behind an activation in the layer only positive ones count."""
    scales, scale = layer.arrays[-2:]
    channels = len(output)
    scales = np.repeat(scales, channels // len(scales)).reshape(-1, *(1,) * (output.ndim - 1)).astype(np.float64)
    bias = 0 if layer.bias is None else layer.bias.reshape(scales.shape)
    sums = (output - bias) * scales * float(scale[0])
    largest = LARGEST_DEPTHWISE if layer.kind in DEPTHWISE else LARGEST
    sums = sums[((output > 0) | (not layer.number(9))) & (np.abs(sums) < largest)]
    return sums.size < FEWEST or np.mean(np.abs(sums - np.round(sums)) < NEAR) > MOST


def _float_format(output: np.ndarray) -> str:
    for name, kind in (("bf16", ml_dtypes.bfloat16), ("fp16", np.float16)):
        if np.array_equal(output.astype(kind).astype(np.float32), output):
            return name
    return "fp32"
