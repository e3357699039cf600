"""int8 keeps the signal where a naive int8 loses it, and every stage makes what it says."""

from dataclasses import replace
from pathlib import Path

import nncf
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from onnxruntime.quantization import QuantType, quantize_static

from helpers.lively import lively, write_blocks
from helpers.noise import signal_to_noise
from helpers.quantized import quantized
from helpers.runtimes import JUDGE
from helpers.tiny_tasks import CLASSES, TASKS, write_dataset
from optimize.data.calibration import calibration_images
from optimize.dataset import Dataset
from optimize.errors import InputError, OptimizeError
from optimize.flops import count
from optimize.identity import identity
from optimize.input_size import square
from optimize.measure.graph_cost import GraphLayer
from optimize.quant.bf16 import Bf16
from optimize.quant.fp16 import Fp16
from optimize.quant.int8 import Int8
from optimize.quant.none import NoQuant
from optimize.runtime.onnx.int8 import _Reader
from optimize.runtime.onnxruntime import OnnxRuntime
from optimize.runtime.openvino import OpenVino, cpu_computes_bf16
from optimize.runtime.openvino.device import read
from optimize.runtime.scope import onnx_cut, onnx_decode, openvino_decode
from optimize.runtime.tensorrt import TensorRT
from optimize.variant import Variant
from optimize.yolo.dataset import resolve
from optimize.yolo.image import validation_image

RUNTIMES = {runtime.info.name: runtime for runtime in (OnnxRuntime(), OpenVino(), TensorRT())}
BOUND = 12.0  # dB, an error of a quarter of the signal


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Dataset:
    folder = tmp_path_factory.mktemp("images")
    return Dataset(
        folder / "x.yaml", ("class0", "class1"), write_blocks(folder, 8, 0), write_blocks(folder, 8, 1), "f00d"
    )


@pytest.fixture(scope="module")
def exported(tmp_path_factory) -> dict[str, Variant]:
    path = lively("yolov8n.yaml", tmp_path_factory.mktemp("model") / "tiny.pt")
    model = Variant(path, "torch", "fp32", square(64))
    return {name: runtime.export(model, tmp_path_factory.mktemp(name)) for name, runtime in RUNTIMES.items()}


@pytest.fixture(scope="module")
def int8(exported, data, tmp_path_factory) -> dict[str, Variant]:
    return {
        name: quantized(variant, data, tmp_path_factory.mktemp(f"{name}_int8")) for name, variant in exported.items()
    }


def kept(variant: Variant, reference: Variant, data: Dataset) -> dict[str, float]:
    """SQNR of boxes and of scores over the validation images, which calibrated nothing."""
    return signal_to_noise(variant, reference, unseen(data), data.task, len(data.names))


def unseen(data: Dataset) -> list[np.ndarray]:
    return [validation_image(file, square(64), data.task) for file in data.val]


@pytest.mark.command
def test_files_of_two_runtimes_move_the_same_bytes_where_both_are_int8(int8):
    """The first and last layers are float in both; what the last read, and what feeds them, differs."""
    one, other = ({layer.name: layer for layer in count(int8[r].path).layers} for r in ("onnxruntime", "openvino"))
    assert set(one) == set(other)
    differ = {name for name in one if moved(one[name]) != moved(other[name])}
    ends = {f"model.22.{branch}.{i}.{end}" for branch in ("cv2", "cv3") for i in range(3) for end in ("1.conv", "2")}
    assert differ == ends


def moved(layer: GraphLayer) -> tuple[int, int, int]:
    return layer.weight_bytes, layer.read_bytes, layer.written_bytes


@pytest.mark.command
@pytest.mark.parametrize("name", ["onnxruntime", "tensorrt"])
def test_int8_keeps_boxes_and_scores_where_a_naive_int8_loses_the_scores(name, exported, int8, data, tmp_path):
    assert min(kept(int8[name], exported[name], data).values()) > BOUND  # 26 and more were seen
    source, target = exported[name], tmp_path / "naive.onnx"
    reader = _Reader("images", calibration_images(data, 8, 0, square(64)), lambda function: function)
    activations = {"onnxruntime": QuantType.QUInt8, "tensorrt": QuantType.QInt8}[name]
    quantize_static(source.path, target, reader, per_channel=True, activation_type=activations)
    assert kept(replace(source, path=target), source, data)["scores"] < 0  # more noise than signal


@pytest.mark.command
def test_int8_keeps_boxes_and_scores_in_openvino_with_the_decode_in_float(exported, int8, data):
    """NNCF itself spares the last concatenation, so a naive int8 loses less here; but it does quantize the decode."""
    assert min(kept(int8["openvino"], exported["openvino"], data).values()) > BOUND  # 19 was seen

    network = read(exported["openvino"].path)
    decode = set(openvino_decode(network))

    def quantized_results(network) -> list:
        fakes = [op for op in network.get_ops() if op.get_type_name() == "FakeQuantize"]
        return [op for op in fakes if op.input_value(0).get_node().get_friendly_name() in decode]

    assert not quantized_results(read(int8["openvino"].path))
    images = nncf.Dataset(calibration_images(data, 8, 0, square(64)))
    assert quantized_results(nncf.quantize(network, images, subset_size=8))


@pytest.mark.command
@pytest.mark.parametrize("task", ["segment", "classify", "rtdetr"])  # the heads of pose and obb are built like these
def test_int8_keeps_every_output_of_every_task(task, tmp_path):
    data = resolve(str(write_dataset(tmp_path / "data", task)), task)
    path = lively(TASKS[task], tmp_path / "tiny.pt", classes=CLASSES[task])
    source = OnnxRuntime().export(Variant(path, "torch", "fp32", square(64)), tmp_path)
    (tmp_path / "int8").mkdir()
    noise = signal_to_noise(
        quantized(source, data, tmp_path / "int8"), source, unseen(data), task, classes=CLASSES[task]
    )
    assert min(noise.values()) > BOUND  # 15 to 35 were seen


@pytest.mark.command
@pytest.mark.parametrize("name", RUNTIMES)
def test_int8_says_what_it_is(name, exported, int8):
    made, source = int8[name], exported[name]
    assert (made.precision, made.name, made.runtime) == ("int8", "int8", name)
    if name != "tensorrt":  # the file of TensorRT is no engine yet
        assert RUNTIMES[name].open(made, threads=1).arithmetic == "int8+fp32"
        cost, before = RUNTIMES[name].count(made), RUNTIMES[name].count(source)
        assert cost.ops == before.ops == before.float_ops
        dfl, last = 16 * 4, 64 * 64 + 64 * 2  # multiply-adds per anchor: 16 bins to 1 for 4 sides; boxes and 2 scores
        first = 32 * 32 * 16 * 3 * 9  # 16 channels of half the size, 3x3 on 3
        assert cost.float_ops == 2 * (84 * (dfl + last) + first)
        assert cost.weight_bytes < 0.28 * before.weight_bytes


@pytest.mark.command
def test_tensorrt_gets_symmetric_pairs_around_weighted_operators_and_float_biases(int8):
    graph = onnx.load(int8["tensorrt"].path).graph
    constants = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer}
    pairs = [node for node in graph.node if node.op_type in ("QuantizeLinear", "DequantizeLinear")]
    assert len(pairs) > 100
    for node in pairs:
        zero = constants[node.input[2]]
        assert zero.dtype == np.int8
        assert not zero.any()
    weighted = {name for node in graph.node if node.op_type == "Conv" for name in node.input}
    assert {n.output[0] for n in pairs if n.op_type == "DequantizeLinear"} <= weighted


@pytest.mark.command
def test_torch_variants_and_quant_none_stay_as_they_are(data, exported, tmp_path):
    model = Variant(tmp_path / "tiny.pt", "torch", "fp32", square(64))
    assert all(stage(model, tmp_path) is model for stage in (NoQuant(), Int8(data, JUDGE), Fp16(JUDGE), Bf16(JUDGE)))
    assert NoQuant()(exported["openvino"], tmp_path) is exported["openvino"]
    assert Bf16(JUDGE)(exported["onnxruntime"], tmp_path) is exported["onnxruntime"]


def test_identity_is_the_content_of_the_data_not_its_paths(data, monkeypatch):
    monkeypatch.setattr("optimize.quant.int8.machine_name", lambda: "AMD EPYC (11a6e8d2)")
    elsewhere = replace(data, train=tuple(Path("/elsewhere") / file.name for file in data.train))
    assert identity(Int8(data, None)) == identity(Int8(elsewhere, None))
    assert (
        len(
            {
                identity(Int8(data, None)),
                identity(Int8(replace(data, fingerprint="beef"), None)),
                identity(Int8(data, None, seed=1)),
            }
        )
        == 3
    )
    assert len(identity(Int8(data, None))) < 240


@pytest.mark.command
@pytest.mark.parametrize("name", ["onnxruntime", "openvino"])
def test_fp16_halves_the_file_and_changes_little(name, exported, data, tmp_path):
    made, source = Fp16(JUDGE)(exported[name], tmp_path), exported[name]
    assert (made.precision, made.name) == ("fp16", "fp16")
    float_weights = 16 if name == "onnxruntime" else 0  # of DFL, which is part of the decode
    before, after = RUNTIMES[name].count(source), RUNTIMES[name].count(made)
    assert after.weight_bytes == before.weight_bytes / 2 + 2 * float_weights
    assert min(kept(made, source, data).values()) > 50


@pytest.mark.command
def test_fp16_leaves_the_decode_in_float32(exported, tmp_path):
    made = onnx.shape_inference.infer_shapes(onnx.load(Fp16(JUDGE)(exported["onnxruntime"], tmp_path).path))
    types = {value.name: value.type.tensor_type.elem_type for value in (*made.graph.value_info, *made.graph.output)}
    decode = set(onnx_decode(onnx.load(exported["onnxruntime"].path)))
    outputs = [name for node in made.graph.node if node.name in decode for name in node.output]
    assert len(outputs) >= len(decode)
    assert {types[name] for name in outputs} == {TensorProto.FLOAT}


@pytest.mark.command
def test_bf16_is_a_row_of_its_own(exported, tmp_path):
    if not cpu_computes_bf16():
        pytest.skip("this CPU has no bf16 arithmetic")
    made = Bf16(JUDGE)(exported["openvino"], tmp_path)
    assert (made.precision, made.name) == ("bf16", "bf16")
    assert (made.path / "metadata.yaml").is_file()


@pytest.mark.command
def test_the_decode_is_the_same_whatever_the_nodes_are_called(exported):
    model = onnx.load(exported["onnxruntime"].path)
    before = {node.output[0] for node in model.graph.node if node.name in set(onnx_decode(model))}
    for i, node in enumerate(model.graph.node):
        node.name = f"n{i}"
    names = set(onnx_decode(model))
    assert {node.output[0] for node in model.graph.node if node.name in names} == before


# one class: the convolution of the scores has one output, as that of DFL has
@pytest.mark.command
@pytest.mark.parametrize(("yaml", "classes"), [("yolov8n.yaml", 1), ("yolo26n.yaml", 16)])
def test_both_exporters_have_the_same_decode_down_to_the_last_convolutions(yaml, classes, tmp_path):
    model = Variant(lively(yaml, tmp_path / "tiny.pt", classes=classes), "torch", "fp32", square(64))
    graph = onnx.load(OnnxRuntime().export(model, tmp_path).path)
    _, decode, _ = onnx_cut(graph)
    shapes = [tuple(d.dim_value for d in value.type.tensor_type.shape.dim) for value in decode.graph.input]
    bins = 64 if yaml == "yolov8n.yaml" else 4
    assert sorted(shapes) == sorted((1, channels, side, side) for channels in (bins, classes) for side in (8, 4, 2))

    network = read(OpenVino().export(model, tmp_path).path)
    inside = set(openvino_decode(network))
    convolutions = [op for op in network.get_ordered_ops() if "Convolution" in op.get_type_name()]
    products = [op.get_friendly_name() for op in network.get_ordered_ops() if op.get_type_name() == "MatMul"]
    assert len(inside & set(products)) == (yaml == "yolov8n.yaml")  # of DFL
    last = [op for op in convolutions if _consumers(op) & inside and op.get_friendly_name() not in inside]
    assert sorted(tuple(op.get_output_shape(0)) for op in last) == sorted(shapes)


def _consumers(op) -> set[str]:
    return {target.get_node().get_friendly_name() for target in op.output(0).get_target_inputs()}


def test_without_weights_there_is_no_naive_int8():
    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 8, 8])
    out = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 3, 8, 8])
    model = helper.make_model(helper.make_graph([helper.make_node("Relu", ["x"], ["y"], "relu")], "g", [value], [out]))
    with pytest.raises(OptimizeError, match="no convolution or linear layer"):
        onnx_decode(model)


def test_bad_calibration_is_one_sentence(data, tmp_path):
    with pytest.raises(InputError, match=r"quant\.calibration_images=0 must be at least 1"):
        Int8(data, None, calibration_images=0)
    with pytest.raises(InputError, match="no images to calibrate"):
        calibration_images(replace(data, train=()), 8, 0, square(64))
    broken = tmp_path / "broken.png"
    broken.write_text("no image")
    for file in (broken, tmp_path / "missing.png"):
        with pytest.raises(InputError, match=rf"{file.name} can't be read as an image"):
            next(iter(calibration_images(replace(data, train=(file,)), 8, 0, square(64))))
