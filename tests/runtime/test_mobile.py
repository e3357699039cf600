"""ncnn and LiteRT compute what torch computes; int8 keeps the signal; stock ultralytics reads their files."""

import json
import os
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from ultralytics import YOLO
from ultralytics.nn.backends.base import BaseBackend

from helpers.commands import command
from helpers.lively import lively, write_blocks
from helpers.messages import like, says
from helpers.noise import signal_to_noise
from helpers.quantized import quantized
from helpers.runtimes import JUDGE
from optimize.data.calibration import calibration_images
from optimize.dataset import Dataset
from optimize.errors import OptimizeError
from optimize.host.cpu import int8_cpu
from optimize.input_size import square
from optimize.measure import operations
from optimize.quant.fp16 import Fp16
from optimize.runtime.litert import LiteRT
from optimize.runtime.litert import graph as litert_graph
from optimize.runtime.ncnn import Ncnn
from optimize.runtime.ncnn import cost as ncnn_cost
from optimize.runtime.ncnn import int8 as ncnn_int8
from optimize.runtime.ncnn import kernels as ncnn_kernels
from optimize.runtime.ncnn import net as ncnn_net
from optimize.runtime.ncnn.int8 import NCNN, NcnnInt8
from optimize.runtime.torch import Torch
from optimize.variant import Variant
from optimize.yolo.checkpoint import deployed, load
from optimize.yolo.dataset import resolve
from optimize.yolo.image import validation_image
from optimize.yolo.validate import validate

BOUND = 12.0  # dB, an error of a quarter of the signal
ANCHORS = 8 * 8 + 4 * 4 + 2 * 2


def needs(runtime):
    reason = runtime.unavailable()
    return pytest.mark.skipif(reason is not None, reason=str(reason))


ncnn_only = needs(Ncnn())
BOTH = [pytest.param(runtime, marks=needs(runtime), id=runtime.info.name) for runtime in (Ncnn(), LiteRT())]


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Variant:
    return Variant(lively("yolov8n.yaml", tmp_path_factory.mktemp("model") / "tiny.pt"), "torch", "fp32", square(64))


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Dataset:
    folder = tmp_path_factory.mktemp("images")
    images = write_blocks(folder, 8, 0), write_blocks(folder, 8, 1)
    return Dataset(folder / "x.yaml", ("class0", "class1"), *images, "f00d")


@pytest.fixture(scope="module")
def exported(model, tmp_path_factory):
    """The export of a runtime, made once."""
    made = {}

    def export(runtime) -> Variant:
        if runtime.info.name not in made:
            made[runtime.info.name] = runtime.export(model, tmp_path_factory.mktemp(runtime.info.name))
        return made[runtime.info.name]

    return export


def noise(imgsz: int = 64) -> np.ndarray:
    return np.random.default_rng(0).random((1, 3, imgsz, imgsz), dtype=np.float32)


@pytest.mark.command
@pytest.mark.parametrize("runtime", BOTH)
def test_an_export_computes_what_torch_computes(runtime, model, exported):
    (expected,) = Torch().open(model, threads=1)(noise())
    session = runtime.open(exported(runtime), threads=1)
    (found,) = session(noise())
    assert found.dtype == np.float32
    assert found.shape == expected.shape == (1, 4 + 2, ANCHORS)
    np.testing.assert_allclose(found[:, :4], expected[:, :4], atol=1e-4 * 64)
    np.testing.assert_allclose(found[:, 4:], expected[:, 4:], atol=1e-4)
    np.testing.assert_array_equal(session(noise())[0], found)
    assert (session.arithmetic, session.int8_ops) == ("fp32", 0)


@pytest.mark.command
@pytest.mark.parametrize("runtime", BOTH)
def test_the_file_has_the_operations_and_weights_of_the_model(runtime, model, exported):
    counted, found = operations.count(deployed(load(model.path)), square(64)), runtime.count(exported(runtime))
    assert (found.float_ops, found.int_ops) == (counted.flops, 0)
    assert found.parameters == counted.parameters
    assert found.weight_bytes == 4 * counted.parameters


@pytest.mark.command
@pytest.mark.parametrize("runtime", BOTH)
def test_stock_ultralytics_reads_the_file_and_finds_the_same(
    runtime, checkpoint, dataset, tmp_path, monkeypatch, capfd
):
    monkeypatch.chdir(tmp_path)
    made = runtime.export(Variant(checkpoint, "torch", "fp32", square(64)), tmp_path)
    backend = SimpleNamespace(dynamic=False)
    BaseBackend.apply_metadata(backend, BaseBackend.read_metadata(made.path))
    assert (backend.task, backend.stride, backend.imgsz, backend.end2end) == ("detect", 32, [64, 64], False)
    stock = YOLO(made.path, task="detect").val(data=str(dataset), imgsz=64, plots=False, verbose=False)
    ours = validate(runtime.open(made, threads=1), resolve(str(dataset)), square(64))
    assert (stock.box.map, stock.box.map50) == pytest.approx(tuple(ours.metrics.values()), abs=1e-4)


@pytest.mark.command
@pytest.mark.parametrize("runtime", BOTH)
def test_int8_keeps_boxes_and_scores_and_is_int8_but_for_the_head_s_end(runtime, exported, data, tmp_path):
    source = exported(runtime)
    made = quantized(source, data, tmp_path)
    unseen = [validation_image(file, square(64), data.task) for file in data.val]
    assert min(signal_to_noise(made, source, unseen, "detect", 2).values()) > BOUND
    session, found = runtime.open(made, threads=1), runtime.count(made)
    assert session.arithmetic == "int8+fp32"
    assert session.int8_ops == found.int_ops
    dfl, last = 16 * 4, 64 * 64 + 64 * 2  # multiply-adds per anchor: 16 bins to 1 for 4 sides; boxes and 2 scores
    assert found.float_ops == 2 * ANCHORS * (dfl + last)
    assert found.ops == runtime.count(source).ops
    assert found.weight_bytes < 0.28 * runtime.count(source).weight_bytes


@pytest.mark.command
@pytest.mark.parametrize("runtime", BOTH)
def test_a_layer_that_returns_to_float_brings_signal_back(runtime, exported, data, tmp_path):
    from optimize.quant.sensitivity import signal_to_noise as sqnr

    source = exported(runtime)
    quantizer = runtime.quantizer(
        source.path, calibration_images(data, 8, 0, square(64)), runtime.int8_recipes(int8_cpu())[0]
    )
    assert len(quantizer.layers) == 57  # of 63 convolutions without the six that feed the decode
    files = {count: tmp_path / str(count) / source.path.name for count in (0, 57)}
    for count, file in files.items():
        file.parent.mkdir()
        quantizer.write(file, quantizer.layers[:count])
    image = validation_image(data.val[0], square(64), data.task)
    expected = quantizer.logits(source.path)(image)
    gained = {count: sqnr(expected, quantizer.logits(file)(image)) for count, file in files.items()}
    assert gained[57] > gained[0] + 3
    counted = [runtime.count(replace(source, path=file)) for file in files.values()]
    assert counted[1].int_ops < counted[0].int_ops
    assert counted[1].ops == counted[0].ops


@pytest.mark.command
@pytest.mark.parametrize("runtime", BOTH)
def test_segmentation_gives_rows_and_prototypes_in_that_order(runtime, tmp_path):
    model = Variant(lively("yolo11n-seg.yaml", tmp_path / "tiny.pt"), "torch", "fp32", square(64))
    expected = Torch().open(model, threads=1)(noise())
    found = runtime.open(runtime.export(model, tmp_path), threads=1)(noise())
    assert [part.shape for part in found] == [(1, 4 + 2 + 32, ANCHORS), (1, 32, 16, 16)]
    for part, truth in zip(found, expected, strict=True):
        np.testing.assert_allclose(part, truth, atol=1e-4 * 64)


@pytest.mark.command
@ncnn_only
def test_ncnn_s_files_are_read_and_written_to_the_byte(exported, tmp_path):
    source = exported(Ncnn()).path
    layers = ncnn_net.read(source)
    ncnn_net.write(layers, tmp_path)
    assert (tmp_path / ncnn_net.BIN).read_bytes() == (source / ncnn_net.BIN).read_bytes()
    ncnn_net.write(ncnn_net.read(tmp_path), tmp_path / "again")
    for name in (ncnn_net.PARAM, ncnn_net.BIN):
        assert (tmp_path / "again" / name).read_bytes() == (tmp_path / name).read_bytes()


@pytest.mark.command
@ncnn_only
def test_weights_that_ncnn_multiplies_by_winograd_have_6_bits(exported, data):
    made = NcnnInt8(exported(Ncnn()).path, calibration_images(data, 2, 0, square(64)), NCNN[0]).quantized.values()
    for layer in made:
        narrow = (layer.number(1), layer.number(3)) == (3, 1)
        assert np.abs(layer.arrays[0]).max() == (31 if narrow else 127)
        assert layer.arrays[0].dtype == np.int8
    assert len({(layer.number(1), layer.number(3)) for layer in made}) == 3  # 1x1, 3x3, and 3x3 of stride 2


@pytest.mark.parametrize(
    ("settings", "narrow"),
    [
        ({1: "3", 11: "3", 2: "1", 12: "1", 3: "1", 13: "1"}, True),
        ({1: "3"}, True),
        ({1: "3", 3: "2"}, False),
        ({1: "3", 2: "2"}, False),
        ({1: "3", 11: "1"}, False),
        ({1: "3", 13: "2"}, False),
    ],
)
def test_a_convolution_that_tells_little_has_ncnn_s_defaults(settings, narrow):
    assert ncnn_int8._by_winograd(ncnn_net.Layer("Convolution", "", (), (), settings)) is narrow


@pytest.mark.command
@ncnn_only
def test_ncnn_s_arithmetic_is_read_from_its_numbers(exported, data, tmp_path):
    source = exported(Ncnn())
    made = quantized(source, data, tmp_path)
    floats, ints = (ncnn_net.load(variant.path, 1) for variant in (source, made))
    assert ncnn_kernels.infer_arithmetic(source.path, floats, square(64)) == ("fp32", 0)
    assert ncnn_kernels.infer_arithmetic(made.path, ints, square(64))[0] == "int8+fp32"
    # files that say int8, and a network that computes in float all the same
    assert ncnn_kernels.infer_arithmetic(made.path, floats, square(64)) == ("fp32", 0)


@pytest.mark.command
@ncnn_only
def test_a_network_that_computes_in_bf16_is_not_taken_for_float32(exported):
    import ncnn

    source, net = exported(Ncnn()).path, ncnn.Net()
    net.opt.use_bf16_storage = True
    net.load_param(str(source / ncnn_net.PARAM))
    net.load_model(str(source / ncnn_net.BIN))
    arithmetic, _ = ncnn_kernels.infer_arithmetic(source, net, square(64))
    assert "bf16" in arithmetic.split("+")


@pytest.mark.command
@ncnn_only
def test_weights_that_cannot_be_told_apart_are_one_sentence(exported, tmp_path):
    source = exported(Ncnn()).path
    for name, content in {
        "short": (source / ncnn_net.BIN).read_bytes()[:-4],
        "long": (source / ncnn_net.BIN).read_bytes() + bytes(4),
        "other": b"flag" + (source / ncnn_net.BIN).read_bytes()[4:],
    }.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / ncnn_net.PARAM).write_text((source / ncnn_net.PARAM).read_text())
        (tmp_path / name / ncnn_net.BIN).write_bytes(content)
        with pytest.raises(OptimizeError, match=rf"^the weights in \S*{name} "):
            ncnn_cost.count(tmp_path / name, square(64))


@pytest.fixture
def too_large(tmp_path) -> Path:
    """A network whose one layer pads an image to a million by a million pixels, for which no machine has room."""
    layers = "Input in0 0 1 in0", "Padding pad 1 1 in0 out0 0=1000000 1=1000000 2=1000000 3=1000000"
    (tmp_path / ncnn_net.PARAM).write_text("\n".join([ncnn_net.MAGIC, "2 2", *layers]) + "\n")
    (tmp_path / ncnn_net.BIN).write_bytes(b"")
    return tmp_path


@ncnn_only
def test_a_call_in_which_ncnn_fails_has_no_result(too_large, monkeypatch):
    monkeypatch.setattr(ncnn_kernels, "infer_arithmetic", lambda *_: ("fp32", 0))  # which would fail first
    session = Ncnn().open(Variant(too_large, "ncnn", "fp32", square(64)), threads=1)
    with pytest.raises(OptimizeError, match=like("ncnn ... out0 ... error -100")):
        session(noise())


@pytest.mark.command
@ncnn_only
def test_what_pnnx_cannot_translate_is_named(tmp_path):
    model = Variant(lively("yolov8n-rtdetr.yaml", tmp_path / "tiny.pt"), "torch", "fp32", square(64))
    with pytest.raises(OptimizeError, match=like("pnnx ... torch.topk ... leave runtime=ncnn out")):
        Ncnn().export(model, tmp_path)


@pytest.mark.command
@ncnn_only
@pytest.mark.parametrize(("told", "quoted"), [("", "none"), ("echo pass_level2; echo ' bad op ' >&2;", "bad op")])
def test_a_converter_that_dies_is_one_sentence_even_without_a_word(told, quoted, model, monkeypatch, tmp_path):
    import pnnx

    program = tmp_path / "pnnx"
    program.write_text(f"#!/bin/sh\n{told} exit 139\n")
    program.chmod(0o755)
    monkeypatch.setattr(pnnx, "EXEC_PATH", str(program))
    parts = f"pnnx {pnnx.__version__} ... exit code 139 ... {quoted}) ... leave runtime=ncnn out"
    export_anew = Ncnn.export.__wrapped__  # helpers/once.py has the file already
    with pytest.raises(OptimizeError, match=like(parts)):
        export_anew(Ncnn(), model, tmp_path)


def test_equal_metadata_are_equal_bytes(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).write_bytes(b"graph")
        litert_graph.append(tmp_path / name, {"task": "detect"})
        os.utime(tmp_path / name, (0, 0))
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert (tmp_path / "a").read_bytes().startswith(b"graph")
    assert litert_graph.metadata(tmp_path / "a") == {"task": "detect"}


def test_fp16_is_the_device_s_choice(tmp_path):
    for name in ("ncnn", "litert"):
        variant = Variant(tmp_path / "a", name, "fp32", square(64))
        assert Fp16(JUDGE)(variant, tmp_path) is variant


def test_a_missing_package_is_named(monkeypatch):
    for name in ("ncnn", "litert"):
        monkeypatch.setattr(f"optimize.runtime.{name}.find_spec", lambda module: None)
    assert says(Ncnn().unavailable(), "ncnn, pnnx ... not installed ... pip install '.[ncnn]'")
    packages = "ai-edge-litert, ai-edge-quantizer, litert-torch"
    assert says(LiteRT().unavailable(), f"{packages} ... not installed ... pip install '.[litert]'")
    monkeypatch.setattr("optimize.runtime.ncnn.find_spec", lambda module: None if module == "pnnx" else object())
    assert says(Ncnn().unavailable(), "pnnx ... not installed ... pip install '.[ncnn]'")
    assert "ncnn, " not in Ncnn().unavailable()


def test_a_run_without_the_packages_is_refused_in_one_sentence(checkpoint, dataset, monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    for name in ("ncnn", "litert"):
        monkeypatch.setattr(f"optimize.runtime.{name}.find_spec", lambda module: None)
    code, _, err = command(monkeypatch, capsys, f"model={checkpoint}", f"data={dataset}", "runtime=[ncnn,litert]")
    assert code == 1
    assert says(err, "error: runtime=[ncnn,litert] ... ncnn, pnnx ... not installed")
    assert "Traceback" not in err


@pytest.mark.command
@ncnn_only
def test_a_run_measures_ncnn_like_the_others(checkpoint, dataset, monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    words = "prune=0", "epochs=0", "rivals=none", "quant.max_drop=100", "rounds=12", "threads=1", "runtime=[ncnn]"
    code, out, err = command(monkeypatch, capsys, f"model={checkpoint}", f"data={dataset}", *words)
    assert code == 0, err
    folder = Path(out.splitlines()[-1])
    rows = json.loads((folder / "results.json").read_text())["results"]
    assert [(row["variant"]["runtime"], row["name"]) for row in rows] == [
        ("torch", "original"),
        ("ncnn", "original"),
        ("ncnn", "int8"),
    ]
    assert [row["latency"]["arithmetic"] for row in rows] == ["fp32", "fp32", "int8+fp32"]
    assert (folder / "artefacts/ncnn/int8_ncnn_model/metadata.yaml").is_file()
    assert rows[2]["profile"] is None
