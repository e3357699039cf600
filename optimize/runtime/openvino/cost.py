"""Count the operations of an OpenVINO IR by its static shapes: independent of torch and of ONNX.

A `network` is an `openvino.Model`, a `node` an `openvino.Node`, a `port` an `openvino.Output`.
"""

from math import prod
from pathlib import Path
from typing import Any

from optimize.errors import MeasurementError
from optimize.measure import graph_cost
from optimize.measure.graph_cost import LARGEST, GraphCost, GraphLayer

OPERATORS = 20_000  # of a graph; the largest detectors have 4,000
CONVOLUTIONS = {"Convolution", "GroupConvolution"}
TRANSPOSED = {"ConvolutionBackpropData", "GroupConvolutionBackpropData"}
COUNTED = CONVOLUTIONS | TRANSPOSED | {"MatMul"}
# Between a FakeQuantize and its consumer these hand on what they get, so OpenVINO moves the quantization through them.
HANDS_ON = {
    "Concat",
    "Interpolate",
    "MaxPool",
    "Reshape",
    "Split",
    "Squeeze",
    "Transpose",
    "Unsqueeze",
    "VariadicSplit",
}
MULTI = {"Concat"}
# Biases and activation functions, number by number, which are computed before anything is written.
FUSED = {"Add", "Clamp", "Elu", "Gelu", "HSigmoid", "HSwish", "Multiply", "PRelu", "Relu", "Sigmoid", "Swish"}
_NO_OPERATORS = {"Constant", "Parameter", "Result"}


def count(folder: Path) -> GraphCost:
    """Operations, parameters and weight bytes of the static graph in a `*_openvino_model` folder, for its one image.

    Raises:
        MeasurementError: as `layers`.
    """
    import openvino as ov

    network = ov.Core().read_model(next(folder.glob("*.xml")))
    return GraphCost.of(layers(network), uncounted(network))


def layers(network: Any) -> tuple[GraphLayer, ...]:
    """Every operator of a static `openvino.Model` that multiplies and adds, in the order of execution.

    Raises:
        MeasurementError: a counted operator has a dynamic shape, or an operator that multiplies and adds has no
            formula, so a total would be too small.
    """
    graph_cost.check(uncounted(network))
    operators = network.get_ordered_ops()
    if len(operators) > OPERATORS:
        raise MeasurementError(f"the graph has {len(operators)} operators, and none in use has {OPERATORS}.")
    seen: set[str] = set()  # a tensor that is used twice is stored once
    known: dict[str, bool] = {}  # by node, whether what it gives is quantized
    return tuple(_layer(node, seen, known) for node in operators if node.get_type_name() in COUNTED)


def uncounted(network: Any) -> tuple[str, ...]:
    """Types of the operators that count nothing, sorted."""
    return tuple(sorted({node.get_type_name() for node in network.get_ordered_ops()} - COUNTED - _NO_OPERATORS))


def _layer(node: Any, seen: set[str], known: dict[str, bool]) -> GraphLayer:
    operations, integer, weights = 2 * multiply_adds(node), quantized(node, known), _weights(node)
    new = {c.get_friendly_name(): c for c in weights if c.get_friendly_name() not in seen}
    seen |= set(new)
    activations = _activations(node)
    own = len(activations) < 2
    return GraphLayer(
        name=node.get_friendly_name(),
        kind=node.get_type_name(),
        float_ops=0 if integer else operations,
        int_ops=operations if integer else 0,
        parameters=sum(prod(constant.get_output_shape(0)) for constant in weights),
        weight_bytes=sum(constant.get_byte_size() for constant in new.values()),
        read_bytes=sum(_read(port, known) for port in activations) if own else 0,
        written_bytes=_written(node.output(0)) if own else 0,
    )


def _read(port: Any, known: dict[str, bool]) -> int:
    """Bytes of an activation; one for each number that was quantized."""
    return prod(port.get_shape()) * (1 if _comes_quantized(port.get_node(), known) else port.get_element_type().size)


def _written(port: Any) -> int:
    """The same of what comes out, behind bias and activation function; it is quantized where nothing else reads it."""
    while True:
        readers = [target.get_node() for target in port.get_target_inputs()]
        fused = len(readers) == 1 and readers[0].get_type_name() in FUSED and len(_activations(readers[0])) == 1
        if not fused:
            break
        port = readers[0].output(0)
    quantized = {reader.get_type_name() for reader in readers} == {"FakeQuantize"}
    return prod(port.get_shape()) * (1 if quantized else port.get_element_type().size)


def _activations(node: Any) -> list[Any]:
    """Its inputs that are no constants."""
    inputs = [node.input_value(i) for i in range(node.get_input_size())]
    return [port for port in inputs if stored_constant(port.get_node()) is None]


def multiply_adds(node: Any) -> int:
    """Of one counted operator: per output element the weights that lead to it; transposed, per input element.

    Raises:
        MeasurementError: its shape is dynamic.
    """
    shapes = *(node.get_input_partial_shape(i) for i in range(2)), node.get_output_partial_shape(0)
    if any(shape.is_dynamic for shape in shapes):
        raise MeasurementError(f"{node.get_friendly_name()} has a dynamic shape, so its operations can't be counted.")
    if any(prod(shape.to_shape()) > LARGEST for shape in shapes):
        raise MeasurementError(f"{node.get_friendly_name()} has more numbers than any machine can hold.")
    data, weight, output = node.get_input_shape(0), node.get_input_shape(1), node.get_output_shape(0)
    kind = node.get_type_name()
    if kind == "MatMul":
        return prod(output) * (data[-2] if node.get_attributes()["transpose_a"] else data[-1])
    # a grouped weight is (groups, out, in, ...), or (groups, in, out, ...) where transposed
    return prod(data if kind in TRANSPOSED else output) * prod(weight[2 if kind.startswith("Group") else 1 :])


def quantized(node: Any, known: dict[str, bool] | None = None) -> bool:
    """Both factors pass a FakeQuantize or are stored in 8 bits; `known` keeps what was found of other operators."""
    known = {} if known is None else known
    return all(_comes_quantized(node.input_value(i).get_node(), known) for i in range(2))


def _comes_quantized(node: Any, known: dict[str, bool]) -> bool:
    """Whether all that it is made of, through what hands on its numbers, is quantized; each node is looked at once."""
    if node.get_name() not in known:
        known[node.get_name()] = _is_quantized(node, known)
    return known[node.get_name()]


def _is_quantized(node: Any, known: dict[str, bool]) -> bool:
    seen, look = set(), [node]
    while look:
        node = look.pop()
        if node.get_name() in seen or known.get(node.get_name()):
            continue
        if node.get_name() in known:
            return False
        seen.add(node.get_name())
        kind = node.get_type_name()
        if kind in HANDS_ON or kind in _UNPACKS:
            inputs = node.get_input_size() if kind in MULTI else 1
            look += [node.input_value(i).get_node() for i in range(inputs)]
        elif kind == "Constant":
            if node.get_element_type().get_type_name() not in ("i8", "u8"):
                return False
        elif kind != "FakeQuantize":
            return False
    return True


_UNPACKS = {"Convert", "Multiply", "Subtract"}  # what a stored 8-bit weight goes through; the scale is the second input


def _weights(node: Any) -> list[Any]:
    """The stored weight, and the bias that an Add behind the operator holds."""
    found = [stored_constant(node.input_value(i).get_node()) for i in range(2)]
    for consumer in node.output(0).get_target_inputs():
        if consumer.get_node().get_type_name() == "Add":
            found += [stored_constant(consumer.get_node().input_value(i).get_node()) for i in range(2)]
    return [constant for constant in found if constant is not None]


def stored_constant(node: Any) -> Any:
    """The node of the constant that `node` hands on, or None where it hands on none."""
    while node.get_type_name() in {*_UNPACKS, "FakeQuantize", "Reshape"}:
        node = node.input_value(0).get_node()
    return node if node.get_type_name() == "Constant" else None
