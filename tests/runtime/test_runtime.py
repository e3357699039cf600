"""Every runtime computes what torch computes, says in which arithmetic, and its files run in stock ultralytics."""

from types import SimpleNamespace

import numpy as np
import onnx
import pytest
import torch
from ultralytics import YOLO
from ultralytics.nn.backends.base import BaseBackend

from helpers.lively import lively
from helpers.messages import like
from optimize.errors import RuntimeUnavailable
from optimize.input_size import square
from optimize.runtime import tensorrt
from optimize.runtime.onnxruntime import OnnxRuntime
from optimize.runtime.openvino import OpenVino, cpu_computes_bf16
from optimize.runtime.tensorrt import TensorRT
from optimize.runtime.torch import Torch
from optimize.variant import Variant
from optimize.yolo.dataset import resolve
from optimize.yolo.validate import validate

EXPORTING = (OnnxRuntime(), OpenVino())


@pytest.fixture(scope="module", params=["yolov8n.yaml", "yolo26n.yaml"])
def model(request, tmp_path_factory) -> Variant:
    path = lively(request.param, tmp_path_factory.mktemp("model") / "tiny.pt")
    return Variant(path, "torch", "fp32", square(64))


@pytest.fixture(scope="module")
def exported(model, tmp_path_factory) -> dict[str, Variant]:
    return {
        runtime.info.name: runtime.export(model, tmp_path_factory.mktemp(runtime.info.name)) for runtime in EXPORTING
    }


@pytest.mark.command
@pytest.mark.parametrize("runtime", EXPORTING, ids=lambda runtime: runtime.info.name)
def test_an_export_computes_what_torch_computes(runtime, model, exported):
    image = np.random.default_rng(0).random((1, 3, 64, 64), dtype=np.float32)
    (expected,) = Torch().open(model, threads=1)(image)
    session = runtime.open(exported[runtime.info.name], threads=1)
    (found,) = session(image)
    assert found.dtype == np.float32
    assert found.shape == expected.shape == (1, 4 + 2, 8 * 8 + 4 * 4 + 2 * 2)
    assert expected[:, 4:].std() > 0.1  # else the scores would be too much alike to tell anything
    np.testing.assert_allclose(found[:, :4], expected[:, :4], atol=1e-4 * 64)
    np.testing.assert_allclose(found[:, 4:], expected[:, 4:], atol=1e-4)
    assert session.arithmetic == "fp32"


@pytest.mark.command
def test_torch_is_the_fused_float32_checkpoint(model):
    session = Torch().open(model, threads=1)
    assert session.arithmetic == "fp32"
    assert torch.get_num_threads() == 1
    assert Torch().export(model, None) == Torch().build(model, None) == model
    assert Torch().count(model) is None


@pytest.mark.command
def test_exports_carry_what_ultralytics_reads(exported):
    for variant in exported.values():
        backend = SimpleNamespace(dynamic=False)
        BaseBackend.apply_metadata(backend, BaseBackend.read_metadata(variant.path))
        assert (backend.task, backend.stride, backend.batch, backend.channels) == ("detect", 32, 1, 3)
        assert backend.imgsz == [64, 64]
        assert backend.names == {0: "class0", 1: "class1"}
        assert backend.end2end is False


@pytest.mark.command
def test_exports_have_one_static_shape(exported):
    graph = onnx.load(exported["onnxruntime"].path).graph
    assert [d.dim_value for d in graph.input[0].type.tensor_type.shape.dim] == [1, 3, 64, 64]
    assert [d.dim_value for d in graph.output[0].type.tensor_type.shape.dim] == [1, 6, 84]


@pytest.mark.command
def test_stock_ultralytics_validates_an_export_and_finds_the_same(checkpoint, dataset, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    variant = OnnxRuntime().export(Variant(checkpoint, "torch", "fp32", square(64)), tmp_path)
    stock = YOLO(variant.path).val(data=str(dataset), plots=False, verbose=False)  # task, size and names from the file
    ours = validate(OnnxRuntime().open(variant, threads=1), resolve(str(dataset)), square(64))
    assert (stock.box.map, stock.box.map50) == tuple(ours.metrics.values())
    assert stock.names == {0: "dark", 1: "bright"}


@pytest.mark.command
def test_a_bf16_variant_is_the_same_file_under_another_hint(exported):
    if not cpu_computes_bf16():
        pytest.skip("this CPU has no bf16 arithmetic")
    fp32 = exported["openvino"]
    session = OpenVino().open(Variant(fp32.path, "openvino", "bf16", square(64)), threads=1)
    assert "bf16" in session.arithmetic.split("+")


def test_export_stages_keep_their_identity():
    for runtime in (*EXPORTING, TensorRT()):
        assert repr(runtime.export) == repr(type(runtime)().export)
        assert " at 0x" not in repr(runtime.export)
        assert type(runtime).__name__ in repr(runtime.export)


def test_a_missing_library_is_named(monkeypatch):
    for runtime, package in ((OnnxRuntime(), "onnxruntime"), (OpenVino(), "openvino"), (TensorRT(), "tensorrt")):
        monkeypatch.setattr(f"optimize.runtime.{package}.find_spec", lambda name: None)
        assert runtime.unavailable() == f"{package} is not installed (pip install {package})"
    with pytest.raises(RuntimeUnavailable, match=like("runtime=tensorrt ... tensorrt is not installed")):
        _ = TensorRT().build


def test_tensorrt_without_a_gpu_says_so(monkeypatch):
    monkeypatch.setattr(tensorrt, "find_spec", lambda name: object())
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert TensorRT().unavailable() == "no CUDA GPU"


@pytest.mark.command
def test_an_engine_begins_with_the_metadata_of_its_onnx(exported, tmp_path):
    engine = tmp_path / "tiny.engine"
    engine.write_bytes(tensorrt.header(exported["onnxruntime"].path) + b"engine")
    length, metadata = BaseBackend.engine_header(engine)
    assert engine.read_bytes()[length:] == b"engine"
    assert metadata == BaseBackend.read_metadata(exported["onnxruntime"].path)


@pytest.mark.command
@pytest.mark.gpu
@pytest.mark.skipif(TensorRT().unavailable() is not None, reason=str(TensorRT().unavailable()))
def test_tensorrt_computes_what_torch_computes(model, tmp_path):
    runtime, image = TensorRT(), np.random.default_rng(0).random((1, 3, 64, 64), dtype=np.float32)
    (expected,) = Torch().open(model, threads=1)(image)
    session = runtime.open(runtime.build(runtime.export(model, tmp_path), tmp_path), threads=1)
    np.testing.assert_allclose(session(image)[0], expected, atol=1e-2 * 64)
    assert session.arithmetic == "fp32"
