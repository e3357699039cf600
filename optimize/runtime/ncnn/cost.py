"""Count the operations of an ncnn model by the shapes that ncnn itself computes: independent of torch and of ONNX."""

from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from optimize.errors import MeasurementError
from optimize.input_size import Size
from optimize.measure.graph_cost import GraphCost
from optimize.runtime.ncnn.net import CONVOLUTIONS, Layer, load, read, tensors

COUNTED = {*CONVOLUTIONS, "InnerProduct", "MatMul"}
# ncnn's other layers that multiply and add
WITHOUT_FORMULA = {"Convolution1D", "Convolution3D", "Einsum", "Gemm", "MultiHeadAttention", "SDPA"}
_NO_OPERATORS = {"Input", "MemoryData", "Split"}


def count(folder: Path, imgsz: Size) -> GraphCost:
    """Operations, parameters and weight bytes of the network in a `*_ncnn_model` folder, for its one image.

    Raises:
        MeasurementError: a layer that multiplies and adds has no formula, so a total would be too small.
    """
    layers = read(folder)
    if missed := sorted({layer.kind for layer in layers} & WITHOUT_FORMULA):
        raise MeasurementError(f"{', '.join(missed)} of ncnn has no FLOPs formula; please report this model.")
    operations = {True: 0, False: 0}
    for layer, multiply_adds in counted(layers, load(folder, 1), imgsz):
        operations[layer.int8] += 2 * multiply_adds
    factors = {name for layer in layers if layer.kind == "MatMul" for name in layer.reads}
    stored = [layer for layer in layers if layer.kind in COUNTED or factors & set(layer.writes)]
    weights = [array for layer in stored for array in (layer.arrays[:1] if layer.bias is None else layer.arrays[:2])]
    return GraphCost(
        float_ops=operations[False],
        int_ops=operations[True],
        parameters=sum(array.size for array in weights),
        weight_bytes=sum(array.nbytes for array in weights),
        uncounted=tuple(sorted({layer.kind for layer in layers} - COUNTED - _NO_OPERATORS)),
    )


def counted(layers: list[Layer], net: Any, imgsz: Size) -> list[tuple[Layer, int]]:
    """The layers that multiply and add, each with its multiply-adds."""
    weighted = [layer for layer in layers if layer.kind in COUNTED]
    names = {name for layer in weighted for name in (*layer.reads, *layer.writes)}
    outputs = tensors(net, sorted(names), np.zeros((1, 3, imgsz.height, imgsz.width), np.float32))
    shapes = {name: tensor.shape for name, tensor in outputs.items()}
    return [(layer, _multiply_adds(layer, shapes)) for layer in weighted]


def _multiply_adds(layer: Layer, shapes: dict[str, tuple[int, ...]]) -> int:
    """Output positions times weights; for transposed convolutions, input positions times weights."""
    data, output = shapes[layer.reads[0]], shapes[layer.writes[0]]
    if layer.kind == "MatMul":
        return prod(output) * data[-1]
    if layer.kind == "InnerProduct":
        return prod(output[:-1]) * layer.arrays[0].size
    places = data if layer.kind.startswith("Deconvolution") else output
    return prod(places[1:]) * layer.arrays[0].size
