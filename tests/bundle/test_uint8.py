"""A graph that takes a camera's pixels computes the same, or there is no bundle."""

import json
from dataclasses import replace

import numpy as np
import pytest

from helpers.bundles import bundled, one_row
from helpers.lively import lively
from helpers.messages import says
from helpers.quantized import quantized
from helpers.runtimes import ALL
from optimize.bundle import make, uint8
from optimize.errors import InputError, VariantFailed
from optimize.input_size import square
from optimize.runtime.onnxruntime import OnnxRuntime
from optimize.runtime.openvino import OpenVino, cpu_computes_bf16
from optimize.store.apply import digest
from optimize.variant import Variant
from optimize.yolo.dataset import resolve

ABLE = OnnxRuntime(), OpenVino()


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return lively("yolov8n.yaml", tmp_path_factory.mktemp("weights") / "tiny.pt", classes=3)


@pytest.fixture(scope="module", params=ABLE, ids=lambda runtime: runtime.info.name)
def exported(request, weights, tmp_path_factory):
    folder = tmp_path_factory.mktemp("exported")
    return request.param, request.param.export(Variant(weights, "torch", "fp32", square(64)), folder)


def test_outputs_are_equal_and_so_is_the_arithmetic(exported, tmp_path):
    runtime, variant = exported
    target = tmp_path / variant.path.name
    uint8.write_for_camera(variant, runtime, target)
    before, after = runtime.open(variant, 1), runtime.open(replace(variant, path=target), 1)
    assert after.arithmetic == before.arithmetic
    assert uint8.difference(before, after, variant) <= 1e-5
    assert runtime.metadata(target) == runtime.metadata(variant.path)
    grey = np.full((1, 64, 64, 3), 114, np.uint8)
    red = grey.copy()
    red[..., 2] = 255  # of blue, green, red
    assert np.abs(after(red)[0] - before(red[..., ::-1].transpose(0, 3, 1, 2) / np.float32(255))[0]).max() < 1e-3
    assert np.abs(after(red)[0] - after(grey)[0]).max() > 0.1


@pytest.mark.skipif(not cpu_computes_bf16(), reason="this CPU has no bf16")
def test_where_a_product_would_round_otherwise_the_quotients_are_looked_up(weights, tmp_path):
    variant = OpenVino().export(Variant(weights, "torch", "fp32", square(64)), tmp_path / "exported")
    variant, target = replace(variant, precision="bf16"), tmp_path / variant.path.name
    divide, _ = OpenVino().uint8_inputs
    divide(variant.path, tmp_path / "divided_openvino_model")
    divided = OpenVino().open(replace(variant, path=tmp_path / "divided_openvino_model"), 1)
    assert uint8.difference(OpenVino().open(variant, 1), divided, variant) > uint8.ALIKE
    uint8.write_for_camera(variant, OpenVino(), target)
    looked_up = OpenVino().open(replace(variant, path=target), 1)
    assert uint8.difference(OpenVino().open(variant, 1), looked_up, variant) == 0


@pytest.mark.parametrize("runtime", ABLE, ids=lambda runtime: runtime.info.name)
def test_an_int8_model_gives_the_same(runtime, weights, dataset, tmp_path):
    variant = runtime.export(Variant(weights, "torch", "fp32", square(64)), tmp_path)
    (tmp_path / "int8").mkdir()
    variant = quantized(variant, resolve(str(dataset), "detect"), tmp_path / "int8")
    made = replace(variant, path=tmp_path / f"made_{variant.path.name}")
    uint8.write_for_camera(variant, runtime, made.path)
    assert uint8.difference(runtime.open(variant, 1), runtime.open(made, 1), variant) <= 1e-5


def test_other_outputs_are_no_bundle(exported, tmp_path, monkeypatch):
    runtime, variant = exported
    monkeypatch.setattr(uint8, "ALIKE", -1.0)
    with pytest.raises(VariantFailed) as error:
        uint8.write_for_camera(variant, runtime, tmp_path / variant.path.name)
    assert says(str(error.value), "there is no bundle, since ... gives other outputs ... leave bundle_input out")
    assert not list(tmp_path.iterdir())


def test_a_bundle_names_what_its_graph_takes_and_the_file_of_the_run(exported, tmp_path):
    runtime, variant = exported
    report = one_row(variant.path, runtime.info.name)
    bundle = make.make(report, tuple(ALL.values()), tmp_path, takes="uint8")
    about = json.loads((bundle / "bundle.json").read_text())
    assert about["input"] == "uint8" and about["rows"] == {about["sha256"]: report.results[1].sha256}
    assert about["sha256"] == digest(bundle / about["artefact"]) != report.results[1].sha256
    (tmp_path / "plain").mkdir()
    plain = json.loads((bundled(report, tmp_path / "plain") / "bundle.json").read_text())
    assert plain["input"] == "float32" and plain["sha256"] == report.results[1].sha256


def test_a_runtime_whose_graphs_can_not_is_refused_before_any_work():
    with pytest.raises(InputError) as error:
        make.check("model=a.pt", "detect", [ALL["ncnn"]], "uint8")
    assert says(str(error.value), "bundle_input=uint8 is for onnxruntime and openvino; none of runtime=[ncnn] is one")
    make.check("model=a.pt", "detect", [ALL["ncnn"], OpenVino()], "uint8")
