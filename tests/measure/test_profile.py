"""Every kernel that ran is found again in the layer that it came from, with its operations, bytes and arithmetic."""

from types import SimpleNamespace

import numpy as np
import onnxruntime as ort
import openvino as ov
import pytest

from helpers.lively import lively, write_blocks
from helpers.quantized import quantized
from optimize.dataset import Dataset
from optimize.input_size import square
from optimize.measure import clock, operations
from optimize.measure.profile import CALLS, ROUNDS, Kernel, LayerTime, by_layer, interleaved
from optimize.runtime.onnxruntime import OnnxRuntime, device
from optimize.runtime.onnxruntime import kernels as onnx_profile
from optimize.runtime.openvino import OpenVino, cpu_computes_bf16
from optimize.runtime.openvino import kernels as openvino_kernels
from optimize.runtime.openvino.device import read
from optimize.runtime.tensorrt import TensorRT
from optimize.runtime.torch import Torch
from optimize.variant import Variant
from optimize.yolo.checkpoint import deployed, load

LENGTH = clock.length  # conftest puts another one in its place
RUNTIMES = {runtime.info.name: runtime for runtime in (OnnxRuntime(), OpenVino())}
SUBJECTS = [(name, precision) for name in RUNTIMES for precision in ("fp32", "int8")]


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Variant:
    return Variant(lively("yolov8n.yaml", tmp_path_factory.mktemp("model") / "tiny.pt"), "torch", "fp32", square(64))


@pytest.fixture(scope="module")
def counted(model):
    return {layer.name: layer for layer in operations.count(deployed(load(model.path)), square(64)).layers}


@pytest.fixture(scope="module")
def variants(model, tmp_path_factory) -> dict[tuple[str, str], Variant]:
    folder = tmp_path_factory.mktemp("images")
    data = Dataset(folder / "x.yaml", ("a", "b"), write_blocks(folder, 4, 0), write_blocks(folder, 4, 1), "f00d")
    made = {}
    for name, runtime in RUNTIMES.items():
        made[name, "fp32"] = runtime.export(model, tmp_path_factory.mktemp(name))
        made[name, "int8"] = quantized(made[name, "fp32"], data, tmp_path_factory.mktemp(f"{name}_int8"))
    return made


@pytest.fixture(scope="module")
def profiles(variants) -> dict[tuple[str, str], dict[str, LayerTime]]:
    """Layers by name, of each variant."""
    subjects = [(RUNTIMES[variant.runtime].profiler, variant) for variant in variants.values()]
    found = zip(variants, interleaved(subjects, threads=1), strict=True)
    return {key: {layer.name: layer for layer in profile.layers} for key, profile in found}


def executed(variant: Variant) -> tuple[int, int]:
    """Operations in integer and in float kernels, as sessions read them back."""
    if variant.runtime == "onnxruntime":
        return onnx_profile.operations(device.kernels(variant.path, ort.SessionOptions()))
    network = read(variant.path)
    compiled = ov.Core().compile_model(network, "CPU", {"INFERENCE_PRECISION_HINT": ov.Type.f32})
    return openvino_kernels.operations(compiled, network)


@pytest.mark.command
@pytest.mark.parametrize("subject", SUBJECTS, ids="-".join)
def test_every_kernel_is_in_a_layer_of_the_model(subject, variants, profiles, model):
    layers = profiles[subject]
    assert sum(layer.ops for layer in layers.values()) == sum(executed(variants[subject]))
    assert layers.keys() <= {name for name, _ in deployed(load(model.path)).named_modules()} - {""}
    assert all(layer.milliseconds > 0 and layer.bytes > 0 for layer in layers.values() if layer.ops)


@pytest.mark.command
@pytest.mark.parametrize("subject", SUBJECTS, ids="-".join)
def test_each_convolution_executes_what_it_costs(subject, profiles, counted):
    layers = profiles[subject]
    convolutions = {n: layer.flops for n, layer in counted.items() if layer.kind == "Conv2d" and "dfl" not in n}
    assert len(convolutions) == 63
    differ = {name for name, flops in convolutions.items() if layers[name].ops != flops}
    # ONNX Runtime's blocked layout pads the two classes to sixteen
    padded = {f"model.22.cv3.{i}.2" for i in range(3)} if subject[0] == "onnxruntime" else set()
    assert differ == padded
    assert all(layers[name].ops == 8 * counted[name].flops for name in padded)


@pytest.mark.command
@pytest.mark.parametrize("name", RUNTIMES)
def test_layers_say_in_which_arithmetic_they_are_computed(name, profiles, variants):
    assert {layer.arithmetic for layer in profiles[name, "fp32"].values() if layer.ops} == {"fp32"}
    layers = profiles[name, "int8"]
    int8 = {layer.name: layer for layer in layers.values() if layer.ops and layer.arithmetic == "int8"}
    assert sum(layer.ops for layer in int8.values()) == executed(variants[name, "int8"])[0]
    assert "model.2.cv1.conv" in int8 and "model.22.cv2.0.2" not in int8
    assert layers["model.22.cv2.0.2"].arithmetic == "fp32"


@pytest.mark.command
@pytest.mark.parametrize("subject", SUBJECTS, ids="-".join)
def test_bytes_are_those_of_the_types_that_ran(subject, profiles):
    """A 3x3 from 32 to 32 channels of 8 x 8; ONNX Runtime computes its SiLU in kernels of their own."""
    layer = profiles[subject]["model.4.m.0.cv1.conv"]
    read = written = 32 * 8 * 8
    weights, biases = 32 * 32 * 3 * 3, 32
    size = 1 if subject[1] == "int8" else 4
    silu = {("onnxruntime", "fp32"): 2 * written, ("onnxruntime", "int8"): (2 + 3) * written}.get(subject, 0)
    pair = 4 + 1  # a scale and a zero point: of what is read and written, and of each channel of the weights
    pairs = (7 + 32) * pair if subject == ("onnxruntime", "int8") else 0
    assert layer.bytes == size * (read + written + weights + silu) + 4 * biases + pairs


@pytest.mark.command
def test_bf16_is_told(variants):
    if not cpu_computes_bf16():
        pytest.skip("this CPU has no bf16 arithmetic")
    variant = Variant(variants["openvino", "fp32"].path, "openvino", "bf16", square(64))
    (found,) = interleaved([(OpenVino().profiler, variant)], threads=1)
    assert {layer.arithmetic for layer in found.layers if layer.name == "model.2.cv1.conv"} == {"bf16"}


def test_these_runtimes_do_not_tell(model):
    for runtime in (Torch(), TensorRT()):
        assert runtime.profiler is None
    assert interleaved([(Torch().profiler, model)], threads=1) == (None,)


def test_how_much_slower_than_usual_the_machine_was_is_told(monkeypatch):
    """Of three rounds the machine was slower in the third, and for the second variant already in the second."""
    times = [np.array([[1.0], [1.0], [2.0]]), np.array([[3.0], [6.0], [6.0]])]
    monkeypatch.setattr(clock, "length", LENGTH)
    monkeypatch.setattr(clock, "in_turns", lambda *args, **named: times)

    def profiler(variant: str, threads: int):
        return SimpleNamespace(run=lambda timed: None, kernels=lambda summary: [])

    one, other = interleaved([(profiler, "a"), (profiler, "b")], threads=1)
    assert (one.slowed, other.slowed) == pytest.approx((0.5**0.5, 2**0.5))


def test_variants_take_turns_and_what_warms_up_does_not_count(monkeypatch):
    monkeypatch.setattr(clock, "length", LENGTH)
    calls = []

    def profiler(variant: str, threads: int):
        ran = [Kernel("model.0", ("a",), ("b",), 1.0, 2, 3, "fp32")]
        return SimpleNamespace(run=lambda timed: calls.append((variant, threads, timed)), kernels=lambda summary: ran)

    found = interleaved([(profiler, "a"), (None, "none"), (profiler, "b")], threads=7)
    assert found[1] is None
    for one in (found[0], found[2]):
        assert (one.layers, one.calls) == ((LayerTime("model.0", 1.0, 2, 3, "fp32"),), ROUNDS * CALLS)
    visit = clock.WARM + CALLS
    turns = [calls[i : i + visit] for i in range(len(calls) - 2 * ROUNDS * visit, len(calls), visit)]
    assert len(calls) > 2 * ROUNDS * visit + 2 * clock.WINDOW  # each was called until its times were steady
    assert not any(timed for *_, timed in calls[: -2 * ROUNDS * visit])  # and nothing of that is recorded
    assert len(turns) == 2 * ROUNDS
    for turn in turns:
        assert turn == [(turn[0][0], 7, False)] * clock.WARM + [(turn[0][0], 7, True)] * CALLS
    assert all({first[0][0], second[0][0]} == {"a", "b"} for first, second in zip(turns[::2], turns[1::2], strict=True))


def test_kernels_without_a_name_go_to_the_layer_that_they_serve():
    def kernel(module: str, reads: str, writes: str, milliseconds: float, ops: int = 0, arithmetic: str = "fp32"):
        return Kernel(module, tuple(reads), tuple(writes), milliseconds, ops, 10 * (milliseconds > 0), arithmetic)

    ran = [
        kernel("", "", "i", 0),  # the input: nothing runs
        kernel("", "i", "q", 1),  # prepares it for the first layer
        kernel("first", "qw", "a", 2, 100, "int8"),
        kernel("", "a", "b", 4),  # its activation function
        kernel("second", "b", "c", 8, 50, "int8"),
        kernel("second", "c", "d", 16, 60),
        kernel("", "d", "e", 32),  # a change of layout
        kernel("", "x", "y", 64),  # nothing to do with the others
    ]
    assert by_layer(ran) == (
        LayerTime("first", 7, 100, 30, "int8"),
        LayerTime("second", 56, 110, 30, "fp32"),
        LayerTime("", 64, 0, 10, "fp32"),
    )


@pytest.mark.parametrize(
    ("node", "module"),
    [
        ("/model.2/cv1/conv/Conv", "model.2.cv1.conv"),
        ("/model.2/cv1/conv/Conv_output_0_nchwc", "model.2.cv1.conv"),
        ("/model.2/cv1/conv/Conv_token_226", "model.2.cv1.conv"),
        ("/model.6/m.0/m/m.0/cv1/conv/Conv", "model.6.m.0.m.0.cv1.conv"),
        ("/model.22/cv2.0/cv2.0.1/conv/Conv", "model.22.cv2.0.1.conv"),
        ("/model.2/Slice_1/GatherSliceToSplitFusion", "model.2"),
        ("/model.9/m_1/MaxPool", "model.9.m"),
        ("/model.22/Concat_2", "model.22"),
        ("InsertedPrecisionFreeCast_/model.2/cv1/conv/Conv_output_0_nchwc", "model.2.cv1.conv"),
        ("/model.2/cv1/act/Mul/QuickGeluFusion/", ""),
        ("ReorderOutput_token_346", ""),
        ("images_QuantizeLinear", ""),
    ],
)
def test_modules_in_the_names_of_onnx_nodes(node, module):
    assert onnx_profile.module(node) == module


@pytest.mark.parametrize(
    ("layer", "module"),
    [
        ("__module.model.2.cv1.conv/aten::_convolution/Convolution", "model.2.cv1.conv"),
        ("__module.model.2/aten::cat/Concat", "model.2"),
        ("__module.model.22.cv3.2.1.act/aten::silu_/Swish_14", ""),
        ("x.1_abcd_acdb___module.model.0.conv/aten::_convolution/Convolution", ""),
        ("Result_5750", ""),
    ],
)
def test_modules_in_the_names_of_openvino_layers(layer, module):
    assert openvino_kernels.module(layer) == module
