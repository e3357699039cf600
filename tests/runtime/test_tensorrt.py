"""TensorRT as far as no GPU is needed: its graph is what its documentation asks for, and every call what it offers."""

import ctypes
import json
import os
import subprocess
import sys
from contextlib import nullcontext
from dataclasses import replace
from enum import IntEnum
from math import prod
from types import ModuleType, SimpleNamespace
from typing import ClassVar

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto
from ultralytics.nn.backends.base import BaseBackend

from helpers.lively import lively, write_blocks
from helpers.messages import like, says
from helpers.quantized import quantized
from helpers.runtimes import JUDGE
from optimize.dataset import Dataset
from optimize.errors import MeasurementError, OptimizeError, RuntimeUnavailable
from optimize.input_size import square
from optimize.quant.fp16 import Fp16
from optimize.runtime import tensorrt
from optimize.runtime.onnxruntime import OnnxRuntime
from optimize.runtime.scope import onnx_decode
from optimize.runtime.tensorrt import Build, TensorRT
from optimize.runtime.torch import Torch
from optimize.store.apply import apply
from optimize.variant import Variant


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Dataset:
    folder = tmp_path_factory.mktemp("images")
    return Dataset(folder / "x.yaml", ("class0", "class1"), write_blocks(folder, 4, 0), (), "f00d")


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Variant:
    """Segmentation, for it has residuals, a ConvTranspose and two outputs."""
    path = lively("yolov8n-seg.yaml", tmp_path_factory.mktemp("model") / "tiny.pt")
    return Variant(path, "torch", "fp32", square(64))


@pytest.fixture(scope="module")
def exported(model, tmp_path_factory) -> Variant:
    return TensorRT().export(model, tmp_path_factory.mktemp("exported"))


@pytest.fixture(scope="module")
def int8(exported, data, tmp_path_factory) -> Variant:
    return quantized(exported, data, tmp_path_factory.mktemp("int8"))


class Fake(ModuleType):
    """`tensorrt` as its Python API is documented, without a GPU: it remembers what was asked of it.

    Attributes:
        layers: what the inspector reports.
        refuses: `parse`, `build`, `load`, `context`, `run` or `cache` fails, as documented: with False or None.
        parsed: the file that was read last.
        timed: what every timing cache was begun with.
    """

    __version__ = "11.4.0"
    LayerInformationFormat = SimpleNamespace(JSON="json")
    NetworkDefinitionCreationFlag = IntEnum("NetworkDefinitionCreationFlag", {"STRONGLY_TYPED": 3})
    ProfilingVerbosity = SimpleNamespace(DETAILED="detailed")
    TensorIOMode = SimpleNamespace(INPUT="input", OUTPUT="output")
    BuilderFlag = SimpleNamespace(TF32="tf32")
    SHAPES: ClassVar = {"output1": (1, 3), "images": (1, 3, 2, 2), "output0": (1, 2, 2)}

    def __init__(self, refuses: str = "", layers: tuple[dict, ...] = ()):
        super().__init__("tensorrt")
        self.refuses, self.layers, self.timed, self.flags = refuses, layers, [], []
        self.Logger = lambda severity: severity
        self.Logger.ERROR = "error"

    def Builder(self, logger) -> SimpleNamespace:
        return SimpleNamespace(
            create_network=self.flags.append,
            create_builder_config=self._config,
            build_serialized_network=self._build,
        )

    def OnnxParser(self, network, logger) -> SimpleNamespace:
        error = SimpleNamespace(node_name=lambda: "/model.0/Conv", desc=lambda: "no kernel for it")
        return SimpleNamespace(parse_from_file=self._parse, get_error=lambda index: error)

    def Runtime(self, logger) -> SimpleNamespace:
        report = json.dumps({"Layers": self.layers})
        inspector = SimpleNamespace(get_engine_information=lambda format: report)
        engine = SimpleNamespace(
            create_engine_inspector=lambda: inspector,
            create_execution_context=lambda: None if self.refuses == "context" else self._context(),
            num_io_tensors=len(self.SHAPES),
            get_tensor_name=list(self.SHAPES).__getitem__,
            get_tensor_shape=self.SHAPES.__getitem__,
            get_tensor_mode=lambda name: "input" if name == "images" else "output",
        )
        return SimpleNamespace(deserialize_cuda_engine=lambda plan: None if self.refuses == "load" else engine)

    def _parse(self, path: str) -> bool:
        self.parsed = path
        return self.refuses != "parse"

    def _context(self) -> SimpleNamespace:
        """Its engine writes the sum of the image to output0, and one more to output1."""
        memory = {}

        def bind(name: str, address: int) -> None:
            memory[name] = np.ctypeslib.as_array((ctypes.c_float * prod(self.SHAPES[name])).from_address(address))

        def execute(stream: int) -> bool:
            memory["output0"][:] = memory["images"].sum()
            memory["output1"][:] = memory["images"].sum() + 1
            return self.refuses != "run"

        return SimpleNamespace(set_tensor_address=bind, execute_async_v3=execute)

    def _config(self) -> SimpleNamespace:
        self.config = SimpleNamespace(
            clear_flag=lambda flag: self.flags.append(f"no {flag}"),
            create_timing_cache=lambda content: SimpleNamespace(content=content),
            set_timing_cache=self._attach,
        )
        return self.config

    def _attach(self, cache, ignore_mismatch: bool) -> bool:
        assert not ignore_mismatch
        if self.refuses == "cache" and cache.content:
            return False
        self.timed.append(cache.content)
        cache.serialize = lambda: memoryview(cache.content + b"+build")
        return True

    def _build(self, network, config) -> memoryview | None:
        return None if self.refuses == "build" else memoryview(b"plan")


@pytest.fixture
def installed(monkeypatch):
    """Make `tensorrt` importable and a GPU visible, as two alike would be."""

    def install(fake: ModuleType, memory: int = 24 * 2**30 - 12345) -> ModuleType:
        gpu = SimpleNamespace(
            name="Quadro RTX 6000/8000", major=7, minor=5, multi_processor_count=72, total_memory=memory
        )
        monkeypatch.setitem(sys.modules, "tensorrt", fake)
        monkeypatch.setattr(tensorrt, "find_spec", lambda name: object())
        monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
        monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
        monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: gpu)
        return fake

    return install


def test_an_install_without_its_libraries_or_too_old_is_named(installed, monkeypatch, tmp_path):
    old = installed(Fake())
    assert TensorRT().unavailable() is None
    old.__version__ = "8.6.1"
    assert says(TensorRT().unavailable(), "tensorrt 8.6.1 ... pip install 'tensorrt>=10'")
    monkeypatch.delitem(sys.modules, "tensorrt")
    (tmp_path / "tensorrt.py").write_text("raise ImportError('libnvinfer.so.11: cannot open shared object file')")
    monkeypatch.syspath_prepend(tmp_path)
    reason = "tensorrt ... can't be imported ... libnvinfer.so.11: cannot open shared object file"
    assert says(TensorRT().unavailable(), reason)
    with pytest.raises(RuntimeUnavailable, match=like(f"runtime=tensorrt ... {reason} ... leave it out")):
        _ = TensorRT().build


@pytest.mark.command
def test_nothing_is_imported_where_it_cannot_run(tmp_path):
    """In a process of its own, where an import would be seen."""
    (tmp_path / "tensorrt.py").write_text("raise SystemExit('imported')")
    code = (
        "import sys; from optimize.runtime.tensorrt import TensorRT; import torch;"
        "torch.cuda.is_available = lambda: False; print(TensorRT().unavailable(), 'tensorrt' in sys.modules)"
    )
    env = os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}
    ran = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True)
    assert ran.stdout.split("\n")[-2:] == ["no CUDA GPU False", ""], ran.stderr


def test_an_engine_is_kept_under_version_and_gpu(installed):
    installed(Fake())
    assert TensorRT().build == Build("11.4.0", "Quadro RTX 6000/8000, sm_75, 72 SMs, 24 GiB")
    before = repr(TensorRT().build)
    installed(Fake(), memory=48 * 2**30)
    assert repr(TensorRT().build) != before
    installed(Fake()).__version__ = "10.16.1"
    assert repr(TensorRT().build) != before


def test_an_engine_begins_with_the_metadata_that_ultralytics_reads(installed, exported, tmp_path):
    fake = installed(Fake())
    made = apply(TensorRT().build, exported, tmp_path)
    assert made.path.suffix == ".engine"
    start, metadata = BaseBackend.engine_header(made.path)
    assert made.path.read_bytes()[start:] == b"plan"
    assert metadata == BaseBackend.read_metadata(exported.path)
    assert fake.flags == [1 << 3, "no tf32"]
    assert fake.config.profiling_verbosity == "detailed"


def test_the_next_build_begins_with_what_the_last_one_timed(installed, exported, tmp_path):
    fake = installed(Fake())
    for name in ("a", "b"):
        apply(TensorRT().build, replace(exported, steps=(name,)), tmp_path)
    assert fake.timed == [b"", b"+build"]
    kept = tmp_path / "tensorrt_11.4.0_Quadro_RTX_6000_8000_sm_75_72_SMs_24_GiB.timings"
    assert kept.read_bytes() == b"+build+build"
    assert not list(tmp_path.glob("*.partial"))
    fake.__version__ = "11.5.0"
    apply(TensorRT().build, exported, tmp_path)
    assert fake.timed[-1] == b""  # its times are its own


def test_times_that_tensorrt_refuses_are_taken_anew(installed, exported, tmp_path):
    fake = installed(Fake(refuses="cache"))
    kept = TensorRT().build.timing_cache(tmp_path)
    kept.write_bytes(b"of another GPU")
    apply(TensorRT().build, exported, tmp_path)
    assert fake.timed == [b""]
    assert kept.read_bytes() == b"+build"


@pytest.mark.parametrize(
    ("refuses", "message"),
    [
        ("parse", "TensorRT 11.4.0 ... original ... /model.0/Conv: no kernel for it ... leave ... out"),
        ("build", "TensorRT 11.4.0 ... build an engine for original ... log ... leave ... out"),
    ],
)
def test_what_tensorrt_cannot_build_is_one_sentence(refuses, message, installed, exported, tmp_path):
    installed(Fake(refuses))
    with pytest.raises(OptimizeError, match=like(message)):
        apply(TensorRT().build, exported, tmp_path)
    assert not list(tmp_path.glob("*.timings"))


@pytest.fixture
def engine(tmp_path) -> Variant:
    path = tmp_path / "a.engine"
    path.write_bytes((2).to_bytes(4, "little") + b"{}plan")
    return Variant(path, "tensorrt", "fp32", square(64))


@pytest.mark.parametrize("refuses", ["load", "context"])
def test_an_engine_from_elsewhere_is_one_sentence(refuses, installed, engine):
    installed(Fake(refuses))
    with pytest.raises(OptimizeError, match=like("TensorRT 11.4.0 can't load ... a.engine ... runs only with")):
        TensorRT().open(engine, threads=1)


@pytest.fixture
def gpu_in_main_memory(monkeypatch):
    empty = torch.empty
    monkeypatch.setattr(torch, "empty", lambda shape, device: empty(shape))
    monkeypatch.setattr(torch.cuda, "Stream", lambda: SimpleNamespace(cuda_stream=7))
    monkeypatch.setattr(torch.cuda, "stream", nullcontext)


def test_a_session_knows_input_and_outputs_in_whatever_order_the_engine_lists_them(
    installed, engine, gpu_in_main_memory
):
    installed(Fake(layers=[layer("kgen", "DataType", "Half", "Half")]))
    session = TensorRT().open(engine, threads=1)
    assert (session.arithmetic, session.device) == ("fp16", "gpu")
    first, second = session(np.ones((1, 3, 2, 2), np.float32))
    np.testing.assert_array_equal(first, np.full((1, 2, 2), 12))
    np.testing.assert_array_equal(second, np.full((1, 3), 13))


def test_a_run_that_fails_gives_no_numbers(installed, engine, gpu_in_main_memory):
    installed(Fake("run", layers=[layer("kgen", "DataType", "Half", "Half")]))
    with pytest.raises(RuntimeError, match=r"^TensorRT failed to run .*a\.engine$"):
        TensorRT().open(engine, threads=1)(np.ones((1, 3, 2, 2), np.float32))


def layer(kind: str, key: str, read: str, written: str) -> dict:
    return {"LayerType": kind, "Inputs": [{"Name": "x", key: read}], "Outputs": [{"Name": "y", key: written}]}


@pytest.mark.parametrize(
    ("layers", "arithmetic"),
    [
        ([layer("CaskConvolution", "Format/Datatype", "Row major linear FP32", "Row major linear FP32")], "fp32"),
        (
            [
                layer("Reformat", "Format/Datatype", "Float", "Half"),
                layer("CaskConvolution", "Format/Datatype", "Channel major FP16 format where channel % 8 == 0", "Half"),
            ],
            "fp16",
        ),
        (
            [
                layer("CaskConvolution", "DataType", "Int8", "Half"),
                layer("kgen", "DataType", "Half", "Int8"),
                layer("kgen", "DataType", "Float", "Float"),
                layer("kgen", "DataType", "Int32", "Bool"),
            ],
            "int8+fp16+fp32",
        ),
        ([layer("kgen", "DataType", "BFloat16", "BFloat16")], "bf16"),
    ],
)
def test_the_arithmetic_is_what_the_layers_read_in_the_words_of_either_version(layers, arithmetic, installed):
    fake = installed(Fake(layers=layers))
    assert tensorrt._arithmetic(fake.Runtime(None).deserialize_cuda_engine(b"")) == arithmetic


def test_an_engine_that_names_no_type_has_no_arithmetic(installed):
    fake = installed(Fake(layers=[{"Name": "conv"}]))
    with pytest.raises(MeasurementError, match="doesn't report in which precision it computes"):
        tensorrt._arithmetic(fake.Runtime(None).deserialize_cuda_engine(b""))


@pytest.fixture
def parsed(installed, int8, tmp_path) -> str:
    """The ONNX file from which an int8 engine is built."""
    fake = installed(Fake())
    TensorRT().build(int8, tmp_path)
    return fake.parsed


def typed(path: str) -> tuple[onnx.GraphProto, dict[str, int]]:
    """A graph that passes ONNX's own strict check of types, and the type of every tensor."""
    onnx.checker.check_model(path, full_check=True)
    graph = onnx.shape_inference.infer_shapes(onnx.load(path), strict_mode=True).graph
    types = {v.name: v.type.tensor_type.elem_type for v in (*graph.input, *graph.value_info, *graph.output)}
    return graph, types | {tensor.name: tensor.data_type for tensor in graph.initializer}


def test_int8_is_between_fp16_with_the_decode_in_float32(exported, parsed):
    graph, types = typed(parsed)
    decode = set(onnx_decode(onnx.load(exported.path)))
    assert {types[value.name] for value in (*graph.input, *graph.output)} == {TensorProto.FLOAT}
    for node in graph.node:
        if node.name in decode:
            assert {types[name] for name in node.output} == {TensorProto.FLOAT}
        elif node.op_type == "QuantizeLinear":
            assert types[node.output[0]] == TensorProto.INT8
        elif node.op_type != "Cast":
            assert {types[name] for name in node.output} == {TensorProto.FLOAT16}


def test_int8_is_every_convolution_of_the_network_and_every_residual(exported, parsed):
    graph, types = typed(parsed)
    decode = set(onnx_decode(onnx.load(exported.path)))
    made = {name: node for node in graph.node for name in node.output}
    convolutions = [node for node in graph.node if node.op_type == "Conv" and node.name not in decode]
    assert len(convolutions) > 60
    for node in convolutions:
        assert [made[name].op_type for name in node.input[:2]] == ["DequantizeLinear"] * 2
        assert types[node.input[2]] == TensorProto.FLOAT16  # a bias has no pair
    (upsample,) = (node for node in graph.node if node.op_type == "ConvTranspose")
    assert not [name for name in upsample.input[1:] if name in made]  # weights as they are
    residual = [node for node in graph.node if node.op_type == "Add" and node.name not in decode]
    assert len(residual) == 6
    for node in residual:
        assert sorted(made[name].op_type for name in node.input) == ["DequantizeLinear", "Mul"]


def test_the_int8_graph_computes_what_the_float_graph_does(exported, parsed):
    image = np.random.default_rng(0).random((1, 3, 64, 64), dtype=np.float32)
    variants = replace(exported, path=parsed), exported
    found, expected = (OnnxRuntime().open(variant, threads=1)(image) for variant in variants)
    assert len(found) == len(expected) == 2
    for rows in (slice(4), slice(4, 6)):  # boxes, scores
        error = (found[0] - expected[0])[:, rows]
        assert 10 * np.log10(np.var(expected[0][:, rows]) / np.mean(error**2)) > 12  # dB


@pytest.mark.gpu
@pytest.mark.skipif(TensorRT().unavailable() is not None, reason=str(TensorRT().unavailable()))
@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_engines_compute_what_their_graph_says(precision, exported, int8, model, tmp_path):
    (tmp_path / "store").mkdir()
    source = {"int8": int8, "fp16": Fp16(JUDGE)(exported, tmp_path)}[precision]
    engine = apply(TensorRT().build, source, tmp_path / "store")
    session = TensorRT().open(engine, threads=1)
    assert session.arithmetic.split("+")[:1] == [precision]
    image = np.random.default_rng(0).random((1, 3, 64, 64), dtype=np.float32)
    expected = Torch().open(model, threads=1)(image)
    for found, truth in zip(session(image), expected, strict=True):
        assert 10 * np.log10(np.var(truth) / np.mean((found - truth) ** 2)) > 12  # dB
    assert TensorRT().build.timing_cache(tmp_path / "store").stat().st_size > 0
