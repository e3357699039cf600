"""What is executed in int8 is read back to the operation, and a variant whose file asks for more is named."""

import json
import platform
from dataclasses import replace
from pathlib import Path

import nncf
import numpy as np
import onnx
import onnxruntime as ort
import openvino as ov
import pytest
import torch
from onnxruntime.quantization import QuantType, quantize_static

from helpers import reports
from helpers.layers import OPERATIONS, TRANSPOSED, Layers
from helpers.lively import lively, write_blocks
from helpers.quantized import quantized
from helpers.runtimes import PRECISIONS
from optimize import report
from optimize.data.calibration import calibration_images
from optimize.dataset import Dataset
from optimize.input_size import square
from optimize.measure import latency, operations
from optimize.measure.accuracy import Accuracy
from optimize.measure.cost import Cost
from optimize.report import words
from optimize.result import Report, Result
from optimize.runtime.onnx import cost as onnx_cost
from optimize.runtime.onnx.int8 import _Reader
from optimize.runtime.onnxruntime import OnnxRuntime, device
from optimize.runtime.onnxruntime import kernels as onnx_profile
from optimize.runtime.openvino import OpenVino
from optimize.runtime.openvino import kernels as openvino_kernels
from optimize.runtime.openvino.device import read
from optimize.runtime.scope import onnx_decode
from optimize.runtime.torch import Torch
from optimize.variant import Variant
from optimize.verdict import gates
from optimize.yolo.checkpoint import deployed, load

RUNTIMES = {runtime.info.name: runtime for runtime in (OnnxRuntime(), OpenVino())}
X86 = platform.machine() in ("x86_64", "AMD64")


def in_onnxruntime(path: Path) -> tuple[int, int]:
    """Integer and float operations, without the blocked layout, which would pad float convolutions."""
    kernels = device.kernels(path, ort.SessionOptions(), disabled_optimizers=["NchwcTransformer"])
    return onnx_profile.operations(kernels)


def in_openvino(network) -> tuple[int, int]:
    compiled = ov.Core().compile_model(network, "CPU", {"INFERENCE_PRECISION_HINT": ov.Type.f32})
    return openvino_kernels.operations(compiled, network)


def executed(variant: Variant) -> tuple[int, int]:
    return in_openvino(read(variant.path)) if variant.runtime == "openvino" else in_onnxruntime(variant.path)


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Dataset:
    folder = tmp_path_factory.mktemp("images")
    return Dataset(folder / "x.yaml", ("a", "b"), write_blocks(folder, 4, 0), write_blocks(folder, 4, 1), "f00d")


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Variant:
    return Variant(lively("yolov8n.yaml", tmp_path_factory.mktemp("model") / "tiny.pt"), "torch", "fp32", square(64))


@pytest.fixture(scope="module")
def exported(model, tmp_path_factory) -> dict[str, Variant]:
    return {name: runtime.export(model, tmp_path_factory.mktemp(name)) for name, runtime in RUNTIMES.items()}


@pytest.fixture(scope="module")
def int8(exported, data, tmp_path_factory) -> dict[str, Variant]:
    return {
        name: quantized(variant, data, tmp_path_factory.mktemp(f"{name}_int8")) for name, variant in exported.items()
    }


@pytest.fixture(scope="module")
def signed(exported, data, tmp_path_factory) -> Variant:
    """Signed activations around convolutions alone, as other exporters write int8 for ONNX."""
    source, target = exported["onnxruntime"], tmp_path_factory.mktemp("signed") / "tiny.onnx"
    quantize_static(
        source.path,
        target,
        _Reader("images", calibration_images(data, 4, 0, square(64)), lambda function: function),
        per_channel=True,
        activation_type=QuantType.QInt8,
        op_types_to_quantize=["Conv"],
        nodes_to_exclude=onnx_decode(onnx.load(source.path)),
    )
    return replace(source, path=target, precision="int8", tags=("int8",))


@pytest.mark.command
def test_layers_by_their_formulas_in_onnxruntime(tmp_path):
    """It has no integer kernel of a transposed convolution."""
    floats, integers = tmp_path / "x.onnx", tmp_path / "int8.onnx"
    example = torch.zeros(1, 4, 8, 8)
    torch.onnx.export(Layers().eval(), (example,), str(floats), dynamo=False, input_names=["x"])
    assert in_onnxruntime(floats) == (0, OPERATIONS)
    images = np.random.default_rng(0).normal(size=(4, 1, 4, 8, 8)).astype(np.float32)
    reader = _Reader("x", images, lambda function: function)
    quantize_static(floats, integers, reader, per_channel=True, activation_type=QuantType.QUInt8)
    assert onnx_cost.count(integers).int_ops == OPERATIONS
    assert in_onnxruntime(integers) == (OPERATIONS - TRANSPOSED, TRANSPOSED)


def test_layers_by_their_formulas_in_openvino():
    network = ov.convert_model(Layers().eval(), example_input=torch.zeros(1, 4, 8, 8), input=[1, 4, 8, 8])
    assert in_openvino(network) == (0, OPERATIONS)
    images = np.random.default_rng(0).normal(size=(4, 1, 4, 8, 8)).astype(np.float32)
    assert in_openvino(nncf.quantize(network, nncf.Dataset(images), subset_size=4)) == (OPERATIONS, 0)


@pytest.mark.command
def test_attention_that_is_fused_is_counted(tmp_path):
    """OpenVINO makes one kernel of RT-DETR's attention, ONNX Runtime puts transpositions into its products."""
    model = Variant(lively("yolov8n-rtdetr.yaml", tmp_path / "tiny.pt"), "torch", "fp32", square(64))
    for runtime in RUNTIMES.values():
        variant = runtime.export(model, tmp_path)
        assert executed(variant) == (0, runtime.count(variant).ops)


@pytest.mark.command
@pytest.mark.parametrize("name", RUNTIMES)
def test_a_good_int8_executes_what_its_file_says(name, exported, int8):
    for variant, share in ((exported[name], 0), (int8[name], 0.98)):
        file, session = RUNTIMES[name].count(variant), RUNTIMES[name].open(variant, threads=1)
        integer, floating = executed(variant)
        assert session.int8_ops == integer == file.int_ops >= share * file.ops
        assert integer + floating == file.ops


def test_torch_executes_nothing_in_int8(model):
    assert Torch().open(model, threads=1).int8_ops == 0


def measured(variants: list[Variant], counted: Cost) -> Report:
    """A report of one runtime with everything real but the accuracy."""
    runtime = RUNTIMES[variants[0].runtime]
    timing = latency.measure([(runtime.open, variant) for variant in variants], threads=1, rounds=12, seed=0)
    accuracy = Accuracy({"mAP50-95": 0.5, "mAP50": 0.75}, 4, {})
    results = (
        Result(
            variant=variant,
            runtime=runtime.info,
            precision=PRECISIONS[variant.precision],
            sha256="0" * 64,
            size_bytes=1,
            cost=counted,
            graph=runtime.count(variant),
            accuracy=accuracy,
            latency=time,
        )
        for variant, time in zip(variants, timing.latencies, strict=True)
    )
    return replace(reports.report(), results=tuple(results), noise=timing.noise, noise_spread=timing.noise_spread)


def alarms(found: Report) -> list[str]:
    return [sentence for name, sentence in gates.fired(found) if name == "int8 share"]


@pytest.mark.command
@pytest.mark.skipif(not X86, reason="other processors have integer kernels of signed activations")
def test_a_file_that_is_int8_but_runs_in_float_is_named(model, exported, int8, signed, data, tmp_path, capsys):
    """ONNX Runtime on x86 leaves convolutions with signed activations in float."""
    good = replace(int8["onnxruntime"], tags=("pruned", "int8"))
    found = measured([exported["onnxruntime"], signed, good], operations.count(deployed(load(model.path)), square(64)))
    original, bad, good = found.results
    assert bad.int_ops > 0.99 * bad.flops
    assert original.int8_share == 0
    assert bad.int8_share < 0.2
    assert good.int8_share > gates.EXECUTED

    report.write(found, tmp_path)
    (sentence,) = alarms(found)
    assert sentence.startswith(f"int8 on ONNX Runtime executes only {bad.int8_share:.1%} of its operations in int8, ")
    assert f"its file asks for {bad.int_ops / bad.flops:.1%}" in sentence
    assert f"INT8 SHARE: {sentence}" in " ".join(capsys.readouterr().out.split())
    lines = (tmp_path / "report.md").read_text().splitlines()
    assert f"**int8 share: {sentence}**" in lines
    cells = [line.split(" | ")[words.columns(found).index("in int8")] for line in lines if " | onnxruntime | " in line]
    assert cells == ["-", f"{bad.int8_share:.0%}", f"{good.int8_share:.0%}"]
    for row, result in zip(json.loads((tmp_path / "results.json").read_text())["results"], found.results, strict=True):
        assert row["latency"]["int8_ops"] == result.latency.int8_ops
        assert row["int8_share"] == result.int8_share
        assert row["int_ops"] == row["graph"]["int_ops"] == result.graph.int_ops


@pytest.mark.command
def test_what_the_runtime_does_not_tell_is_not_invented(exported, model):
    """TensorRT tells no operations; nor is anything known of what was not timed."""
    found = measured([exported["onnxruntime"]], operations.count(deployed(load(model.path)), square(64)))
    (result,) = (
        replace(r, variant=replace(r.variant, precision="int8"), precision=PRECISIONS["int8"]) for r in found.results
    )
    untold = replace(result, latency=replace(result.latency, int8_ops=None))
    none_ran = replace(result, latency=replace(result.latency, int8_ops=0))
    for unknown in (untold, replace(result, latency=None)):
        assert unknown.int8_share is None
        assert words._in_int8(unknown) == words.DASH
        assert not alarms(replace(found, results=(unknown,)))
    assert words._in_int8(none_ran) == "0%"
    assert alarms(replace(found, results=(none_ran,)))
