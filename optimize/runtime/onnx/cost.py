"""Counts the operations of an ONNX file by shape inference, independently of torch, so that each checks the other."""

from collections import defaultdict
from collections.abc import Iterator
from math import prod
from pathlib import Path
from tempfile import TemporaryDirectory

import onnx
from onnx import inliner
from onnx.helper import tensor_dtype_to_np_dtype

from optimize.errors import InputError, MeasurementError, described
from optimize.host.tried import try_in_process
from optimize.measure import graph_cost
from optimize.measure.graph_cost import LARGEST, GraphCost, GraphLayer
from optimize.runtime.onnx.check import REMEDY, check, check_flat

INFER = "import sys, onnx; onnx.shape_inference.infer_shapes(onnx.load(sys.argv[1]), data_prop=True)"
SECONDS, MEMORY = 60, 2 * 10**9
COUNTED = {"Conv", "ConvTranspose", "Gemm", "MatMul"}
# Elementwise operators of biases and activation functions; runtimes fuse them into the operator before.
FUSED = {"Add", "Clip", "Div", "Elu", "Erf", "Gelu", "HardSigmoid", "HardSwish", "LeakyRelu", "Mul", "Relu", "Sigmoid"}


def count(path: Path) -> GraphCost:
    """Operations, parameters and weight bytes of a static ONNX graph, for one image.

    Raises:
        InputError, MeasurementError: as `layers`.
    """
    model = onnx.load(path)
    return GraphCost.of(layers(model), uncounted(model))


def layers(model: onnx.ModelProto) -> tuple[GraphLayer, ...]:
    """Every operator of a static graph that multiplies and adds, in the order of the file.

    Raises:
        InputError: the graph is invalid: it has cycles or missing tensors, or gets far larger than its file.
        MeasurementError: the shape of a counted operator can't be inferred, or an operator that multiplies and adds has
            no formula or lies in a function that can't be inlined, so a total would be too small.
    """
    model = _inlined(model)
    check_flat(model.graph)
    if _has_branches(model.graph) and (why := _too_much(model)):
        raise InputError(f"the shapes of the graph can't be inferred, since {why}; {REMEDY}.")
    try:
        graph = _Graph(onnx.shape_inference.infer_shapes(model, data_prop=True).graph)
    except Exception as error:  # onnx raises anything for a graph that no runtime would load
        raise InputError(f"the shapes of the graph can't be inferred ({described(error)}); {REMEDY}.") from error
    graph_cost.check(uncounted(model))
    return tuple(graph.layer(node) for node in model.graph.node if node.op_type in COUNTED)


def _has_branches(graph: onnx.GraphProto) -> bool:
    return any(attribute.HasField("g") or attribute.graphs for node in graph.node for attribute in node.attribute)


def _too_much(model: onnx.ModelProto) -> str | None:
    """Why this process should not infer shapes: inside branches and loops onnx computes them without any bound."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        path.write_bytes(model.SerializeToString())
        return try_in_process(INFER, str(path), SECONDS, MEMORY)


def uncounted(model: onnx.ModelProto) -> tuple[str, ...]:
    """Types of the operators that count 0, sorted, including those in branches and loops, e.g. `Add in Loop`."""
    model = _inlined(model)
    return tuple(sorted({node.op_type for node in model.graph.node} - COUNTED | set(_inner(model.graph))))


def _inlined(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with its local functions inlined at every call; their constants count for each call."""
    if not model.functions:
        return model
    check(model)
    try:
        model = inliner.inline_local_functions(model)
    except Exception as error:  # onnx raises anything for functions that can't be inlined
        raise InputError(f"the functions of the graph can't be inlined ({described(error)}); {REMEDY}.") from error
    if model.functions:  # onnx does not inline functions of another opset
        names = ", ".join(sorted({function.name for function in model.functions}))
        raise MeasurementError(
            f"{names} is a function of another opset than the graph's, so its operations can't be counted; "
            "export the model again without functions."
        )
    return model


def _inner(graph: onnx.GraphProto) -> Iterator[str]:
    for node in graph.node:
        for inside in (a.g for a in node.attribute if a.type == onnx.AttributeProto.GRAPH):
            yield from (f"{inner.op_type} in {node.op_type}" for inner in inside.node)
            yield from _inner(inside)


class _Graph:
    """Shapes, constants, producers and consumers of a graph, by tensor name."""

    def __init__(self, graph: onnx.GraphProto):
        self.constants = {tensor.name for tensor in graph.initializer}
        self.constants |= {node.output[0] for node in graph.node if node.op_type == "Constant"}
        self.producers = {name: node for node in graph.node for name in node.output}
        self.consumers: dict[str, list[onnx.NodeProto]] = defaultdict(list)
        for node in graph.node:
            for name in dict.fromkeys(node.input):
                self.consumers[name].append(node)
        for value in graph.output:
            self.consumers[value.name].append(_OUTSIDE)
        values = (*graph.input, *graph.value_info, *graph.output)
        self.shapes = {value.name: tuple(d.dim_value for d in value.type.tensor_type.shape.dim) for value in values}
        self.shapes |= {tensor.name: tuple(tensor.dims) for tensor in graph.initializer}
        self.types = {value.name: value.type.tensor_type.elem_type for value in values}
        self.types |= {tensor.name: tensor.data_type for tensor in graph.initializer}
        self.seen: set[str] = set()
        self.stored: dict[str, str] = {}  # cache of `_stored`

    def layer(self, node: onnx.NodeProto) -> GraphLayer:
        """Count one operator; call it in the order of the file, since the first user of a tensor counts its bytes."""
        operations, quantized = 2 * self.multiply_adds(node), self.quantized(node)
        weights = self.weights(node)
        new = set(weights) - self.seen
        self.seen |= new
        weighted = any(self._stored(name) in self.constants for name in node.input[:2])
        data = next((name for name in node.input[:2] if self._stored(name) not in self.constants), node.input[0])
        return GraphLayer(
            name=node.name or node.output[0],
            kind=node.op_type,
            float_ops=0 if quantized else operations,
            int_ops=operations if quantized else 0,
            parameters=sum(prod(self.shape(name)) for name in weights),
            weight_bytes=sum(self._bytes(name) for name in new),
            read_bytes=self._bytes(self._read(data)) if weighted else 0,
            written_bytes=self._bytes(self._written(node.output[0])) if weighted else 0,
        )

    def shape(self, name: str) -> tuple[int, ...]:
        shape = self.shapes.get(name, ())
        if not shape or any(size <= 0 for size in shape):
            raise MeasurementError(f"the shape of {name} is unknown, so the graph's operations can't be counted.")
        if prod(shape) > LARGEST:
            raise MeasurementError(f"{name} has {prod(shape)} numbers, which no machine can hold.")
        return shape

    def multiply_adds(self, node: onnx.NodeProto) -> int:
        """Output elements times the weights that each reads; for transposed convolutions, input elements instead."""
        first, second = self.shape(node.input[0]), self.shape(node.input[1])
        if node.op_type == "Conv":
            return prod(self.shape(node.output[0])) * prod(second[1:])
        if node.op_type == "ConvTranspose":
            return prod(first) * prod(second[1:])
        transposed = node.op_type == "Gemm" and any(a.name == "transA" and a.i for a in node.attribute)
        return prod(self.shape(node.output[0])) * (first[0] if transposed else first[-1])

    def quantized(self, node: onnx.NodeProto) -> bool:
        """Whether both factors come from a DequantizeLinear."""
        producers = [self.producers.get(name) for name in node.input[:2]]
        return all(producer is not None and producer.op_type == "DequantizeLinear" for producer in producers)

    def weights(self, node: onnx.NodeProto) -> list[str]:
        """Weight and bias of a counted operator as stored: before they are dequantized, cast or transposed."""
        names = (self._stored(name) for name in (*node.input[:3], *self._added(node)))
        return [name for name in names if name in self.constants]

    def _added(self, node: onnx.NodeProto) -> list[str]:
        """The bias of a MatMul, which an Add behind it adds per column; empty for other operators."""
        adds = [reader for reader in self.consumers[node.output[0]] if reader.op_type == "Add"]
        width = self.shape(node.output[0])[-1]
        names = [name for add in adds for name in add.input if self.shapes.get(name) == (width,)]
        return names if node.op_type == "MatMul" else []

    def _stored(self, name: str) -> str:
        passed = []
        while name not in self.stored and name in self.producers and self.producers[name].op_type in _UNPACKS:
            passed.append(name)
            name = next(iter(self.producers[name].input), "")
        source = self.stored.get(name, name)
        self.stored |= dict.fromkeys(passed, source)
        return source

    def _read(self, name: str) -> str:
        """The tensor that is really read for a float tensor: the integers, where a DequantizeLinear makes it."""
        producer = self.producers.get(name)
        reads = producer.input if producer is not None and producer.op_type == "DequantizeLinear" else ()
        return next(iter(reads), name)

    def _written(self, name: str) -> str:
        """The tensor that is really written: the integers, where the fused activation function is only quantized."""
        fused, new = {name}, [name]
        while new:
            for reader in self.consumers[new.pop()]:
                if reader.op_type in FUSED and not fused & set(reader.output) and self._reads_only(fused, reader):
                    fused.add(reader.output[0])
                    new.append(reader.output[0])
        readers = self._readers(fused)
        return readers[0].output[0] if {reader.op_type for reader in readers} == {"QuantizeLinear"} else name

    def _readers(self, fused: set[str]) -> list[onnx.NodeProto]:
        """The nodes outside a fused operator that read one of its tensors."""
        return [reader for name in fused for reader in self.consumers[name] if not fused & set(reader.output)]

    def _reads_only(self, fused: set[str], reader: onnx.NodeProto) -> bool:
        """Whether `reader` reads nothing but these tensors and constants."""
        return all(name in fused or self._stored(name) in self.constants for name in reader.input)

    def _bytes(self, name: str) -> int:
        try:
            return prod(self.shape(name)) * tensor_dtype_to_np_dtype(self.types[name]).itemsize
        except KeyError as error:
            raise InputError(f"{name} has the unknown data type {self.types[name]}; {REMEDY}.") from error


_OUTSIDE = onnx.NodeProto()
_UNPACKS = {"Cast", "DequantizeLinear", "Identity", "QuantizeLinear", "Transpose"}
