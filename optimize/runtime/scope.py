"""Finds the operators that must stay in float, the box decoding of the head, by the structure of the graph.

The box decoding puts boxes in pixels (0..imgsz) and scores in 0..1 into one tensor. One int8 scale can't hold both: if
the box decoding is quantized, every score rounds to zero. It consists of all operators between the outputs and the last
operators with weights, so the search walks back from the outputs and stops at those. The convolution inside the box
decoding that turns a distribution into a distance (DFL, arXiv:2006.04388) has the weights 0, 1, 2, ...; the search
walks through it. Names are not used, since they differ between exporters.

RT-DETR (arXiv:2304.08069) decodes boxes before every layer of its decoder and reads them twice: as the positions where
features are sampled, from which the search walks back as from outputs, and as the input of a linear layer, which stays
in float as well, since rounding its input would round the boxes for all operators that read them.
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
    """Names of the ONNX nodes of the box decoding.

    Raises:
        OptimizeError: no operator with weights leads to the outputs, so it is not known what must stay in float.
    """
    return [node.name for node in _onnx_head(model)[0]]


def onnx_last(model: onnx.ModelProto) -> list[str]:
    """Names of the ONNX nodes whose outputs the box decoding reads: the last with weights on each path to an output."""
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
        arrays = [onnx.numpy_helper.to_array(weights[name]) for name in names if name in weights]
        return arrays[0] if arrays else None

    outputs = [producers[output.name] for output in model.graph.output]
    places = [producers[node.input[1]] for node in model.graph.node if node.op_type == "GridSample"]
    return walk(model.graph.node, outputs + places, parents, weight, key=lambda node: node.output[0])


def onnx_first(model: onnx.ModelProto) -> list[str]:
    """Names of the ONNX nodes with weights that read the image directly."""
    images = {value.name for value in model.graph.input}
    return [node.name for node in model.graph.node if node.op_type in _ONNX_WEIGHTED and images & set(node.input)]


def onnx_cut(model: onnx.ModelProto) -> tuple[onnx.ModelProto, onnx.ModelProto, list[str]]:
    """Split `model` into the network and the box decoding; also returns the names of the tensors between the two."""
    names, inside = set(onnx_decode(model)), []
    outside = {name for node in model.graph.node if node.name not in names for name in node.input}
    for node in reversed(model.graph.node):
        if node.name in names and not outside & set(node.output):
            inside.append(node)
        else:  # RT-DETR decodes boxes between its layers, too; what the network reads belongs to the network
            outside |= set(node.input)
    available = {name for node in inside for name in node.output} | {tensor.name for tensor in model.graph.initializer}
    border = sorted({name for node in inside for name in node.input if name and name not in available})
    extractor = onnx.utils.Extractor(onnx.shape_inference.infer_shapes(model))
    inputs, outputs = ([value.name for value in values] for values in (model.graph.input, model.graph.output))
    network, decode = extractor.extract_model(inputs, border), extractor.extract_model(border, outputs)
    decode.graph.ClearField("value_info")  # it would list the border tensors twice
    keep = dict.fromkeys(
        ("rename_nodes", "rename_edges", "rename_inputs", "rename_outputs", "rename_value_infos"), False
    )
    # both parts may use one constant, but names must be unique when the parts are merged again
    return network, onnx.compose.add_prefix(decode, "decode/", rename_initializers=True, **keep), border


def openvino_decode(network: Any) -> list[str]:
    """Friendly names of the operators of an `openvino.Model`'s box decoding; raises as `onnx_decode` does."""
    return [node.get_friendly_name() for node in _openvino_head(network)[0]]


def openvino_last(network: Any) -> list[str]:
    """As `onnx_last`, the friendly names of the operators of an `openvino.Model`."""
    return [node.get_friendly_name() for node in _openvino_head(network)[1]]


def openvino_first(network: Any) -> list[str]:
    """Friendly names of the operators of an `openvino.Model` with weights that read the image directly."""
    readers = (target.get_node() for value in network.inputs for target in value.get_target_inputs())
    return [node.get_friendly_name() for node in readers if node.get_type_name() in _OPENVINO_WEIGHTED]


def _openvino_head(network: Any) -> tuple[list[Any], list[Any]]:
    def parents(node: Any) -> list[Any]:
        if node.get_type_name() == "ShapeOf":
            return []
        inputs = (node.input_value(i).get_node() for i in range(node.get_input_size()))
        return [parent for parent in inputs if parent.get_type_name() not in ("Constant", "Parameter")]

    def weight(node: Any) -> np.ndarray | None:
        if node.get_type_name() not in _OPENVINO_WEIGHTED:
            return None
        constants = [openvino_constant(node.input_value(i).get_node()) for i in range(2)]
        return next((constant for constant in constants if constant is not None), None)

    outputs = [result.input_value(0).get_node() for result in network.get_results()]
    places = [node.input_value(1).get_node() for node in network.get_ops() if node.get_type_name() == "GridSample"]
    return walk(network.get_ops(), outputs + places, parents, weight, key=lambda node: node.get_friendly_name())


def onnx_products(model: onnx.ModelProto) -> list[str]:
    """Names of the ONNX nodes of attention: products of two activations, and the softmax between them."""
    weights = {tensor.name for tensor in model.graph.initializer}
    free = (n.name for n in model.graph.node if n.op_type == "MatMul" and not weights & set(n.input))
    return [*free, *(n.name for n in model.graph.node if n.op_type == "Softmax")]


def openvino_products(network: Any) -> list[str]:
    """Friendly names of the operators of an `openvino.Model` that multiply two activations."""
    products = (node for node in network.get_ops() if node.get_type_name() == "MatMul")
    return [
        node.get_friendly_name()
        for node in products
        if all(openvino_constant(node.input_value(i).get_node()) is None for i in range(2))
    ]


def openvino_constant(node: Any) -> np.ndarray | None:
    """The value of a constant, also behind the reshapes and conversions that the converter inserts.

    `node` is an `openvino.Node`; None where it doesn't come from a constant.
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
    """Walk back from `starts` to the nearest nodes with weights.

    Args:
        nodes: all nodes of the graph.
        starts: nodes that give the outputs.
        parents: returns the nodes whose outputs a node reads.
        weight: returns the weights of a node; None where it has none.
        key: returns the identity of a node.

    Returns:
        The nodes on the way, with the layers that read nothing but these; and the nearest nodes with weights.

    Raises:
        OptimizeError: as `onnx_decode`.
    """
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
            "no convolution or linear layer leads to the model's outputs, so the box decoding, which must stay in "
            "float, can't be found, and int8 would destroy the scores; use quant=none or quant=fp16 for this model."
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
