"""What OpenVINO really compiled, read from the graph of the compiled model.

A kernel's name (`primitiveType`) ends with the type it computes in; a layer's `runtimePrecision` is only that of its
stored weights.
"""

from math import prod

from optimize.measure import openvino_cost


def arithmetic(compiled) -> str:
    """The precisions of the kernels, without those that only move or convert numbers."""
    names = [_word(layer, "primitiveType") for layer in _layers(compiled) if _word(layer, "layerType") not in _MOVES]
    return "+".join(precision for precision, ends in _PRECISIONS.items() if any(name.endswith(ends) for name in names))


def operations(compiled, network) -> tuple[int, int]:
    """Operations, 2 per multiply-add, in int8 kernels of `network` as it was compiled, and in all its other kernels."""
    products = {op.get_friendly_name(): op for op in network.get_ops() if op.get_type_name() == "MatMul"}
    counts = {True: 0, False: 0}
    for layer in _layers(compiled):
        int8 = _word(layer, "primitiveType").endswith(_PRECISIONS["int8"])
        counts[int8] += 2 * _multiply_adds(layer, products)
    return counts[True], counts[False]


def _multiply_adds(layer, products: dict) -> int:
    """By the shapes of the compiled layer; those of attention that was fused into one kernel by its original layers."""
    kind = _word(layer, "layerType")
    if kind == "Subgraph":
        originals = _word(layer, "originalLayersNames").split(",")
        return sum(openvino_cost.multiply_adds(products[name]) for name in originals if name in products)
    if kind not in ("Convolution", "Deconvolution", "FullyConnected", "MatMul"):
        return 0
    data, weight = (tuple(layer.input_value(i).get_shape()) for i in range(2))
    output = tuple(layer.get_output_shape(0))
    if kind in ("FullyConnected", "MatMul"):
        # however transposed, each element meets every column of the other factor; the first may serve a whole batch
        return max(prod(output[:-2]), prod(data[:-2])) * prod(data[-2:]) * output[-1]
    per_element = prod(weight[1 + len(weight) - len(data) :])  # a grouped weight has one dimension more, in front
    return prod(output if kind == "Convolution" else data) * per_element


def _layers(compiled) -> list:
    return compiled.get_runtime_model().get_ops()


def _word(layer, key: str) -> str:
    return layer.get_rt_info()[key].astype(str)


_PRECISIONS = {"int8": ("_I8", "_U8", "_i8", "_u8"), "bf16": "_bf16", "fp16": "_f16", "fp32": "_f32"}
_MOVES = {
    "Concatenation",
    "Const",
    "Convert",
    "Input",
    "Output",
    "Reorder",
    "Reshape",
    "Split",
    "StridedSlice",
    "Transpose",
}
