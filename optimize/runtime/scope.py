"""Which operators must stay in float: the decode of the head, found on the graph by structure.

One int8 scale can't hold boxes in pixels (0..imgsz) and scores in 0..1, which the decode puts into one tensor: with it
quantized every score rounds to zero. The decode is all that lies between the outputs and the last operators with
weights, so it is found by walking back from the outputs and stopping there. The convolution inside the decode that
turns a distribution into a distance (DFL, arXiv:2006.04388) has weights 0, 1, 2, ... and is walked through. Names play
no part: they differ between exporters.

RT-DETR (arXiv:2304.08069) decodes boxes before every layer of its decoder and reads them again: as the places where
features are sampled, which are walked back from as outputs are, and as the input of a linear layer, which stays in
float with them, since rounding its input would round the boxes for all who read them.
"""

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import numpy as np
import onnx

from optimize.errors import OptimizeError

Node = TypeVar("Node")

_ONNX_WEIGHTED = {"Conv", "ConvTranspose", "Gemm", "MatMul"}
_ONNX_QUANTIZERS = {"QuantizeLinear", "DequantizeLinear"}
_OPENVINO_WEIGHTED = {
    "Convolution",
    "GroupConvolution",
    "ConvolutionBackpropData",
    "GroupConvolutionBackpropData",
    "MatMul",
}


def onnx_decode(model: onnx.ModelProto) -> list[str]:
    """Names of the ONNX nodes of the decode.

    Raises:
        OptimizeError: no operator with weights leads to the outputs, so what must stay float is unknown.
    """
    return [node.name for node in _onnx_head(model)[0]]


def onnx_last(model: onnx.ModelProto) -> list[str]:
    """Names of the ONNX nodes that feed the decode: the last with weights on every way to the outputs."""
    return [node.name for node in _onnx_head(model)[1]]


def _onnx_head(model: onnx.ModelProto) -> tuple[list[onnx.NodeProto], list[onnx.NodeProto]]:
    weights = {tensor.name: tensor for tensor in model.graph.initializer}
    producers = {name: node for node in model.graph.node for name in node.output}

    def parents(node: onnx.NodeProto) -> list[onnx.NodeProto]:
        return [producers[name] for name in node.input if name in producers and node.op_type != "Shape"]

    def stored(name: str) -> str:
        while name in producers and producers[name].op_type in _ONNX_QUANTIZERS:
            name = producers[name].input[0]
        return name

    def weight(node: onnx.NodeProto) -> np.ndarray | None:
        if node.op_type not in _ONNX_WEIGHTED:
            return None
        names = (stored(name) for name in node.input[:2])
        found = [onnx.numpy_helper.to_array(weights[name]) for name in names if name in weights]
        return found[0] if found else None

    outputs = [producers[output.name] for output in model.graph.output]
    places = [producers[node.input[1]] for node in model.graph.node if node.op_type == "GridSample"]
    return walk(model.graph.node, outputs + places, parents, weight, key=lambda node: node.output[0])


def onnx_first(model: onnx.ModelProto) -> list[str]:
    """Names of the ONNX nodes with weights that read the image itself."""
    images = {value.name for value in model.graph.input}
    return [node.name for node in model.graph.node if node.op_type in _ONNX_WEIGHTED and images & set(node.input)]


def onnx_cut(model: onnx.ModelProto) -> tuple[onnx.ModelProto, onnx.ModelProto, list[str]]:
    """The network, the decode, and the names of the tensors that go from one to the other."""
    names, inside = set(onnx_decode(model)), []
    outside = {name for node in model.graph.node if node.name not in names for name in node.input}
    for node in reversed(model.graph.node):
        if node.name in names and not outside & set(node.output):
            inside.append(node)
        else:  # RT-DETR decodes boxes between its layers as well; what the network needs belongs to it
            outside |= set(node.input)
    made = {name for node in inside for name in node.output} | {tensor.name for tensor in model.graph.initializer}
    border = sorted({name for node in inside for name in node.input if name and name not in made})
    extractor = onnx.utils.Extractor(onnx.shape_inference.infer_shapes(model))
    inputs, outputs = ([value.name for value in values] for values in (model.graph.input, model.graph.output))
    network, decode = extractor.extract_model(inputs, border), extractor.extract_model(border, outputs)
    decode.graph.ClearField("value_info")  # would name the border twice
    keep = dict.fromkeys(
        ("rename_nodes", "rename_edges", "rename_inputs", "rename_outputs", "rename_value_infos"), False
    )
    # both halves may use one constant, but merged again each name must be unique
    return network, onnx.compose.add_prefix(decode, "decode/", rename_initializers=True, **keep), border


def openvino_decode(network: Any) -> list[str]:
    """Friendly names of the operators of the decode of an `openvino.Model`; raises as `onnx_decode` does."""
    return [node.get_friendly_name() for node in _openvino_head(network)[0]]


def openvino_last(network: Any) -> list[str]:
    """Friendly names of the operators that feed the decode: the last with weights on every way to the outputs."""
    return [node.get_friendly_name() for node in _openvino_head(network)[1]]


def openvino_first(network: Any) -> list[str]:
    """Friendly names of the operators of an `openvino.Model` with weights that read the image itself."""
    readers = (target.get_node() for value in network.inputs for target in value.get_target_inputs())
    return [node.get_friendly_name() for node in readers if node.get_type_name() in _OPENVINO_WEIGHTED]


def _openvino_head(network: Any) -> tuple[list[Any], list[Any]]:
    def parents(node: Any) -> list[Any]:
        if node.get_type_name() == "ShapeOf":
            return []
        found = (node.input_value(i).get_node() for i in range(node.get_input_size()))
        return [parent for parent in found if parent.get_type_name() not in ("Constant", "Parameter")]

    def weight(node: Any) -> np.ndarray | None:
        if node.get_type_name() not in _OPENVINO_WEIGHTED:
            return None
        found = (node.input_value(i).get_node() for i in range(2))
        constants = [openvino_constant(parent) for parent in found]
        return next((constant for constant in constants if constant is not None), None)

    outputs = [result.input_value(0).get_node() for result in network.get_results()]
    places = [node.input_value(1).get_node() for node in network.get_ops() if node.get_type_name() == "GridSample"]
    return walk(network.get_ops(), outputs + places, parents, weight, key=lambda node: node.get_friendly_name())


def onnx_products(model: onnx.ModelProto) -> list[str]:
    """Names of the ONNX nodes that multiply activations with each other, and of the softmax between: attention."""
    weights = {tensor.name for tensor in model.graph.initializer}
    free = (n.name for n in model.graph.node if n.op_type == "MatMul" and not weights & set(n.input))
    return [*free, *(n.name for n in model.graph.node if n.op_type == "Softmax")]


def openvino_products(network: Any) -> list[str]:
    """Friendly names of the operators of an `openvino.Model` that multiply activations with each other."""
    products = (node for node in network.get_ops() if node.get_type_name() == "MatMul")
    return [
        node.get_friendly_name()
        for node in products
        if all(openvino_constant(node.input_value(i).get_node()) is None for i in range(2))
    ]


def openvino_constant(node: Any) -> np.ndarray | None:
    """The value of a constant, also behind the reshape or conversion that the converter puts between.

    `node` is an `openvino.Node`; None where no constant is behind it.
    """
    while node.get_type_name() in ("Convert", "Reshape") and node.get_input_size():
        node = node.input_value(0).get_node()
    return node.data if node.get_type_name() == "Constant" else None


def walk(
    nodes: Iterable[Node],
    starts: Iterable[Node],
    parents: Callable[[Node], list[Node]],
    weight: Callable[[Node], np.ndarray | None],
    key: Callable[[Node], str],
) -> tuple[list[Node], list[Node]]:
    """All nodes from `starts` back to the nearest with weights, and layers that read these alone; and the nearest."""
    decode: dict[str, Node] = {}
    last: dict[str, Node] = {}
    todo = list(starts)
    while todo:
        node = todo.pop()
        values = weight(node)
        if values is not None and not _is_dfl(values):
            last[key(node)] = node
        elif key(node) not in decode:
            decode[key(node)] = node
            todo += parents(node)
    if not last:
        raise OptimizeError(
            "no convolution or linear layer leads to the model's outputs, so the part that must stay float can't be "
            "found and int8 would destroy the scores; use quant=none or quant=fp16 for this model."
        )
    readers: dict[str, Node] = {}
    for node in nodes:
        way = [node]
        while key(way[-1]) not in decode and len(above := parents(way[-1])) == 1:
            way += above
        if key(way[-1]) in decode and weight(node) is not None and all(weight(n) is None for n in way[1:-1]):
            readers |= {key(n): n for n in way}
    return list((decode | readers).values()), [node for name, node in last.items() if name not in readers]


def _is_dfl(values: np.ndarray) -> bool:
    """Whether an operator computes an expected value: its weights are 0, 1, 2, ..."""
    return values.size > 1 and np.array_equal(values.ravel(), np.arange(values.size))
