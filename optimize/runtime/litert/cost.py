"""Count the operations of a .tflite file by its static shapes: independent of torch and of ONNX."""

from dataclasses import dataclass
from math import prod
from pathlib import Path

import numpy as np

from optimize.measure.graph_cost import GraphCost
from optimize.runtime.litert.graph import Graph, Operator, Tensor, read

COUNTED = {"CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV", "FULLY_CONNECTED", "BATCH_MATMUL"}
DATA = {"TRANSPOSE_CONV": 2}  # index of the data input, after the output's shape and the weights; 0 for others
HANDS_ON = {"BROADCAST_TO", "DEQUANTIZE", "QUANTIZE", "RESHAPE", "TRANSPOSE"}


@dataclass(frozen=True)
class Constant:
    """A tensor whose numbers are stored in the file."""

    name: str
    numbers: np.ndarray


def count(path: Path) -> GraphCost:
    """Operations, parameters and weight bytes of a .tflite file, for its one image."""
    graph = read(path)
    operations = {True: 0, False: 0}
    found = [operator for operator in graph.operators if operator.kind in COUNTED]
    for operator in found:
        operations[quantized(operator)] += 2 * multiply_adds(operator)
    weights = [weight for operator in found for weight in constants(graph, operator)]
    return GraphCost(
        float_ops=operations[False],
        int_ops=operations[True],
        parameters=sum(weight.numbers.size for weight in weights),
        weight_bytes=sum({weight.name: weight.numbers.nbytes for weight in weights}.values()),
        uncounted=tuple(sorted({operator.kind for operator in graph.operators} - COUNTED)),
    )


def multiply_adds(operator: Operator) -> int:
    """Of one counted operator; weights are (outputs, height, width, inputs), depthwise (1, height, width, outputs)."""
    data, weights = operator.reads[DATA.get(operator.kind, 0)].shape, operator.reads[1].shape
    output = operator.writes[0].shape
    if operator.kind == "TRANSPOSE_CONV":
        return prod(data) * prod(weights[:3])
    if operator.kind == "BATCH_MATMUL":
        return prod(output) * data[-2 if operator.transposed else -1]
    return prod(output) * prod(weights[1:3] if operator.kind == "DEPTHWISE_CONV_2D" else weights[1:])


def quantized(operator: Operator) -> bool:
    """Whether both factors are int8; then its kernel is, too, since LiteRT runs the types in the file."""
    return operator.reads[DATA.get(operator.kind, 0)].type == operator.reads[1].type == "INT8"


def constants(graph: Graph, operator: Operator) -> list[Constant]:
    """Weight and bias of a counted operator as stored; a factor may be spread over a batch first."""
    found = [_stored(graph, tensor) for i, tensor in enumerate(operator.reads) if i != DATA.get(operator.kind, 0)]
    if operator.kind == "BATCH_MATMUL":
        found.append(_stored(graph, operator.reads[0]))
    shape = operator.reads[0].name if operator.kind == "TRANSPOSE_CONV" else None
    return [constant for constant in found if constant is not None and constant.name != shape]


def _stored(graph: Graph, tensor: Tensor) -> Constant | None:
    while tensor.value is None and graph.producers.get(tensor.name, _NONE).kind in HANDS_ON:
        tensor = graph.producers[tensor.name].reads[0]
    if tensor.value is None or not np.issubdtype(tensor.value.dtype, np.number):
        return None
    return Constant(tensor.name, tensor.value)


_NONE = Operator("", (), ())
