"""Counts on the exported graph equal torch's own counter to the operation, and formulas written out."""

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from helpers.layers import OPERATIONS, Layers
from helpers.lively import lively
from helpers.messages import like
from optimize.errors import MeasurementError
from optimize.input_size import square
from optimize.runtime.onnx import cost as onnx_cost
from optimize.runtime.onnxruntime import OnnxRuntime
from optimize.runtime.openvino import OpenVino, save
from optimize.runtime.openvino import cost as openvino_cost
from optimize.variant import Variant
from optimize.yolo.checkpoint import deployed, load


@pytest.mark.command
@pytest.mark.parametrize("yaml", ["yolov8n.yaml", "yolo11n.yaml", "yolo12n.yaml", "yolo26n.yaml"])
def test_exports_have_exactly_the_operations_and_parameters_that_torch_counts(yaml, tmp_path):
    path = lively(yaml, tmp_path / "tiny.pt")
    module = deployed(load(path))
    with (
        FlopCounterMode(display=False) as counter,
        torch.no_grad(),
        nn.attention.sdpa_kernel(nn.attention.SDPBackend.MATH),
    ):
        module(torch.zeros(1, 3, 64, 64))
    parameters = sum(parameter.numel() for parameter in module.parameters())
    for runtime in (OnnxRuntime(), OpenVino()):
        cost = runtime.count(runtime.export(Variant(path, "torch", "fp32", square(64)), tmp_path))
        assert cost.float_ops == cost.ops == counter.get_total_flops()
        assert cost.int_ops == 0
        assert cost.parameters == parameters
        assert cost.weight_bytes == 4 * parameters
        assert {"Sigmoid", "Concat"} <= set(cost.uncounted)


def test_layers_by_their_formulas_in_onnx(tmp_path):
    torch.onnx.export(Layers().eval(), (torch.zeros(1, 4, 8, 8),), str(tmp_path / "x.onnx"), dynamo=False)
    cost = onnx_cost.count(tmp_path / "x.onnx")
    assert cost.float_ops == OPERATIONS
    assert cost.parameters == sum(parameter.numel() for parameter in Layers().parameters())


def test_layers_by_their_formulas_in_openvino(tmp_path):
    import openvino as ov

    network = ov.convert_model(Layers().eval(), example_input=torch.zeros(1, 4, 8, 8), input=[1, 4, 8, 8])
    save(network, tmp_path / "x_openvino_model")
    cost = openvino_cost.count(tmp_path / "x_openvino_model")
    assert cost.float_ops == OPERATIONS
    assert cost.parameters == sum(parameter.numel() for parameter in Layers().parameters())


def test_only_two_quantized_factors_make_integer_operations(tmp_path):
    """Two products; the second has a float weight."""
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "scale", "zero"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "scale", "zero"], ["d"]),
        helper.make_node("DequantizeLinear", ["w8", "scale", "zero"], ["w"]),
        helper.make_node("MatMul", ["d", "w"], ["y"]),
        helper.make_node("MatMul", ["d", "wf"], ["z"]),
    ]
    constants = {
        "scale": np.float32(0.1),
        "zero": np.int8(0),
        "w8": np.ones((4, 3), np.int8),
        "wf": np.ones((4, 7), np.float32),
    }
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, 4])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, [2, n]) for name, n in (("y", 3), ("z", 7))],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)]), tmp_path / "x.onnx")
    cost = onnx_cost.count(tmp_path / "x.onnx")
    assert (cost.int_ops, cost.float_ops) == (2 * 2 * 3 * 4, 2 * 2 * 7 * 4)
    assert (cost.parameters, cost.weight_bytes) == (4 * 3 + 4 * 7, 4 * 3 + 4 * 4 * 7)
    assert cost.uncounted == ("DequantizeLinear", "QuantizeLinear")


def test_weights_are_found_where_exporters_leave_them():
    """In a Constant; behind an Identity, since two are equal; behind a Transpose, since nothing was folded."""
    constant = numpy_helper.from_array(np.ones((4, 3, 1, 1), np.float32))
    nodes = [
        helper.make_node("Constant", [], ["c"], value=constant),
        helper.make_node("Constant", [], ["b"], value_floats=[1.0, 2.0, 3.0, 4.0]),
        helper.make_node("Conv", ["x", "c", "b"], ["y"]),
        helper.make_node("Identity", ["w"], ["same"]),
        helper.make_node("Conv", ["y", "w"], ["z"]),
        helper.make_node("Conv", ["z", "same"], ["u"]),
        helper.make_node("Transpose", ["m"], ["turned"], perm=[1, 0]),
        helper.make_node("MatMul", ["u", "turned"], ["v"]),
    ]
    weights = {"w": np.ones((4, 4, 1, 1), np.float32), "m": np.ones((5, 8), np.float32)}
    layers = onnx_cost.layers(_graph([1, 3, 8, 8], nodes, weights, "v"))
    assert [layer.parameters for layer in layers] == [4 * 3 + 4, 4 * 4, 4 * 4, 8 * 5]
    assert [layer.weight_bytes for layer in layers] == [4 * (4 * 3 + 4), 4 * 4 * 4, 0, 4 * 8 * 5]
    assert [layer.activation_bytes for layer in layers] == [4 * 64 * n for n in (3 + 4, 4 + 4, 4 + 4)] + [4 * 32 * 13]


def test_what_is_added_to_a_matrix_product_is_its_bias():
    """A bias, and a sum that is none."""
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["product"]),
        helper.make_node("Add", ["bias", "product"], ["y"]),
        helper.make_node("MatMul", ["y", "v"], ["other"]),
        helper.make_node("Add", ["other", "places"], ["z"]),
    ]
    weights = {"w": np.ones((8, 5)), "bias": np.ones(5), "v": np.ones((5, 2)), "places": np.ones((1, 3, 4, 2))}
    weights = {name: value.astype(np.float32) for name, value in weights.items()}
    first, second = onnx_cost.layers(_graph([1, 3, 4, 8], nodes, weights, "z"))
    assert (first.parameters, first.weight_bytes) == (8 * 5 + 5, 4 * (8 * 5 + 5))
    assert (second.parameters, second.weight_bytes) == (5 * 2, 4 * 5 * 2)


def test_a_function_counts_wherever_it_is_called():
    """Two calls, one of them in another function."""
    weight = numpy_helper.from_array(np.ones((3, 3, 3, 3), np.float32))
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("own", 1)]
    inside = [
        helper.make_node("Constant", [], ["w"], value=weight),
        helper.make_node("Conv", ["a", "w"], ["b"], pads=[1, 1, 1, 1]),
    ]
    outside = [helper.make_node("Block", ["a"], ["c"], domain="own"), helper.make_node("Relu", ["c"], ["b"])]
    functions = [
        helper.make_function("own", "Block", ["a"], ["b"], inside, opsets),
        helper.make_function("own", "Around", ["a"], ["b"], outside, opsets),
    ]
    calls = [
        helper.make_node("Block", ["x"], ["y"], domain="own"),
        helper.make_node("Around", ["y"], ["z"], domain="own"),
    ]
    model = _graph([1, 3, 8, 8], calls, {}, "z", functions=functions)
    assert [layer.flops for layer in onnx_cost.layers(model)] == [2 * 27 * 3 * 8 * 8] * 2
    assert [layer.weight_bytes for layer in onnx_cost.layers(model)] == [4 * 81] * 2
    assert onnx_cost.uncounted(model) == ("Constant", "Relu")
    model.functions[0].opset_import[0].version = 11
    with pytest.raises(MeasurementError, match=like("Block ... another opset")):
        onnx_cost.layers(model)


@pytest.mark.parametrize("residual", [False, True])
def test_what_is_quantized_behind_the_activation_function_is_written_in_one_byte(residual):
    """SiLU in ONNX's two operators and in OpenVINO's one; an addition of another activation is neither's own."""
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "scale", "zero"], ["xq"]),
        helper.make_node("DequantizeLinear", ["xq", "scale", "zero"], ["xd"]),
        helper.make_node("Conv", ["xd", "w"], ["c"]),
        helper.make_node("Sigmoid", ["c"], ["s"]),
        helper.make_node("Mul", ["c", "s"], ["silu"]),
        helper.make_node("Add", ["silu", "xd"], ["sum"]),
        helper.make_node("QuantizeLinear", ["sum" if residual else "silu", "scale", "zero"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "scale", "zero"], ["y"]),
    ]
    nodes = [node for node in nodes if residual or node.op_type != "Add"]
    weights = {"w": np.ones((3, 3, 1, 1), np.float32), "scale": np.array(0.1, np.float32), "zero": np.array(0, np.int8)}
    (layer,) = onnx_cost.layers(_graph([1, 3, 8, 8], nodes, weights, "y"))
    assert (layer.read_bytes, layer.written_bytes) == (3 * 64, 3 * 64 * (4 if residual else 1))
    assert openvino_cost.layers(_openvino(weights["w"], residual))[0].activation_bytes == layer.activation_bytes


def _openvino(weight: np.ndarray, residual: bool):
    import openvino as ov
    from openvino import opset13

    def quantized(tensor):
        return opset13.fake_quantize(tensor, *(np.float32(limit) for limit in (0, 1, 0, 1)), 256)

    image = opset13.parameter([1, 3, 8, 8], np.float32)
    given = quantized(image)
    made = opset13.convolution(given, weight, [1, 1], [0, 0], [0, 0], [1, 1])
    silu = opset13.swish(opset13.add(made, np.ones((1, 3, 1, 1), np.float32)))
    return ov.Model([quantized(opset13.add(silu, given) if residual else silu)], [image])


def _graph(shape: list[int], nodes: list, weights: dict, output: str, **more) -> onnx.ModelProto:
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, None)],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18), helper.make_opsetid("own", 1)], **more)


def test_a_dynamic_shape_gives_no_total(tmp_path):
    import openvino as ov

    torch.onnx.export(
        nn.Conv2d(3, 4, 3),
        (torch.zeros(1, 3, 8, 8),),
        str(tmp_path / "x.onnx"),
        dynamo=False,
        input_names=["x"],
        dynamic_axes={"x": {2: "height"}},
    )
    with pytest.raises(MeasurementError, match="can't be counted"):
        onnx_cost.count(tmp_path / "x.onnx")
    save(ov.convert_model(tmp_path / "x.onnx"), tmp_path / "x_openvino_model")
    with pytest.raises(MeasurementError, match="can't be counted"):
        openvino_cost.count(tmp_path / "x_openvino_model")
