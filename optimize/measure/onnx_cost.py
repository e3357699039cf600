"""Count the operations of an ONNX file by shape inference: independent of torch, so that one can check the other."""

from math import prod
from pathlib import Path

import onnx
from onnx.numpy_helper import to_array

from optimize.errors import MeasurementError
from optimize.measure.graph_cost import GraphCost

COUNTED = {"Conv", "ConvTranspose", "Gemm", "MatMul"}


def count(path: Path) -> GraphCost:
    """Operations, parameters and weight bytes of a static ONNX graph, for its one image.

    Raises:
        MeasurementError: the shape of a counted operator can't be inferred, so a total would be too small.
    """
    model = onnx.shape_inference.infer_shapes(onnx.load(path), data_prop=True)
    graph = _Graph(model.graph)
    operations = {True: 0, False: 0}
    for node in model.graph.node:
        if node.op_type in COUNTED:
            operations[graph.quantized(node)] += 2 * graph.multiply_adds(node)
    weights = [tensor for node in model.graph.node if node.op_type in COUNTED for tensor in graph.weights(node)]
    stored = {tensor.name: tensor for tensor in weights}  # equal biases share one tensor in the file
    return GraphCost(
        float_ops=operations[False],
        int_ops=operations[True],
        parameters=sum(prod(tensor.dims) for tensor in weights),
        weight_bytes=sum(to_array(tensor).nbytes for tensor in stored.values()),
        uncounted=tuple(sorted({node.op_type for node in model.graph.node} - COUNTED)),
    )


class _Graph:
    """Shapes, constants and producers of a graph, by tensor name."""

    def __init__(self, graph: onnx.GraphProto):
        self.nodes = graph.node
        self.constants = {tensor.name: tensor for tensor in graph.initializer}
        self.producers = {name: node for node in graph.node for name in node.output}
        values = (*graph.input, *graph.value_info, *graph.output)
        self.shapes = {value.name: tuple(d.dim_value for d in value.type.tensor_type.shape.dim) for value in values}
        self.shapes |= {name: tuple(tensor.dims) for name, tensor in self.constants.items()}

    def shape(self, name: str) -> tuple[int, ...]:
        found = self.shapes.get(name, ())
        if not prod(found) or not found:
            raise MeasurementError(f"the shape of {name} is unknown, so the graph's operations can't be counted.")
        return found

    def multiply_adds(self, node: onnx.NodeProto) -> int:
        """Every output element takes as many as there are weights that lead to it; transposed, every input element."""
        first, second = self.shape(node.input[0]), self.shape(node.input[1])
        if node.op_type == "Conv":
            return prod(self.shape(node.output[0])) * prod(second[1:])
        if node.op_type == "ConvTranspose":
            return prod(first) * prod(second[1:])
        transposed = node.op_type == "Gemm" and any(a.name == "transA" and a.i for a in node.attribute)
        return prod(self.shape(node.output[0])) * (first[0] if transposed else first[-1])

    def quantized(self, node: onnx.NodeProto) -> bool:
        """Both factors come out of a DequantizeLinear."""
        made = [self.producers.get(name) for name in node.input[:2]]
        return all(producer is not None and producer.op_type == "DequantizeLinear" for producer in made)

    def weights(self, node: onnx.NodeProto) -> list[onnx.TensorProto]:
        """Weight and bias of a counted operator as stored: before they are dequantized or cast."""
        names = (self._stored(name) for name in node.input[:3])
        return [self.constants[name] for name in names if name in self.constants]

    def _stored(self, name: str) -> str:
        while name in self.producers and self.producers[name].op_type in _UNPACKS:
            name = self.producers[name].input[0]
        return name


_UNPACKS = {"Cast", "DequantizeLinear", "QuantizeLinear"}
