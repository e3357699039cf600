"""Infers the arithmetic that ncnn used from the outputs of its layers, since ncnn doesn't report its kernels.

A sum of products of integers is an integer, so the output of an int8 layer minus its bias is a whole multiple of one
step per channel; the output of a float layer is not. Rounding to fp16 or bf16 leaves numbers of that format unchanged,
but changes those of fp32.
"""

from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np

from optimize.input_size import Size
from optimize.runtime.ncnn.cost import counted
from optimize.runtime.ncnn.net import DEPTHWISE, Layer, read, tensors

NEAR, MOST = 0.1, 0.99  # distance to a whole number, and the share of outputs within it; by chance it is a fifth
LARGEST, LARGEST_DEPTHWISE = 30_000, 300  # larger sums lose these digits; depthwise kernels estimate a reciprocal
FEWEST = 8  # outputs needed to decide; with fewer the file decides, as ncnn has no float kernel for 8-bit weights


def infer_arithmetic(folder: Path, net: Any, imgsz: Size) -> tuple[str, int]:
    """The number formats in which the `net` of `folder` computes, and the operations for one image in int8."""
    layers = counted(read(folder), net, imgsz)
    noise = np.random.default_rng(0).random((1, 3, imgsz.height, imgsz.width), dtype=np.float32)
    outputs = tensors(net, [layer.writes[0] for layer, _ in layers], noise)
    integer = {layer.writes for layer, _ in layers if layer.int8 and _on_steps(layer, outputs[layer.writes[0]])}
    floats = [outputs[layer.writes[0]] for layer, _ in layers if layer.writes not in integer]
    int8_ops = sum(2 * multiply_adds for layer, multiply_adds in layers if layer.writes in integer)
    return "+".join((["int8"] if integer else []) + _float_formats(floats)), int8_ops


def _float_formats(outputs: list[np.ndarray]) -> list[str]:
    """The formats of float layers, the narrowest first; outputs with few values count only where all have few."""
    varied = [output for output in outputs if np.unique(output).size >= FEWEST] or outputs
    formats = {_float_format(output) for output in varied}
    return [name for name in ("bf16", "fp16", "fp32") if name in formats]


def _on_steps(layer: Layer, output: np.ndarray) -> bool:
    """Whether the outputs are sums of integers; if the layer has an activation, only positive outputs are tested."""
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
