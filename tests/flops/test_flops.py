"""The FLOPs table beside every other counter, each difference written as its formula."""

import csv
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn
from ultralytics.utils.torch_utils import get_flops, model_info

from helpers.lively import lively
from helpers.messages import like
from optimize.errors import InputError, MeasurementError
from optimize.flops import count
from optimize.flops.__main__ import HELP, main, parse
from optimize.input_size import Size, square
from optimize.measure import operations
from optimize.runtime.onnxruntime import OnnxRuntime
from optimize.runtime.openvino import OpenVino
from optimize.variant import Variant
from optimize.yolo.checkpoint import deployed
from optimize.yolo.size import build, without_numbers

# GFLOPs at 640 px: ultralytics' documentation; of YOLOv9 its paper's (arXiv 2402.13616)
PUBLISHED = {
    "yolov8n": 8.7,
    "yolov9t": 7.7,
    "yolov10n": 6.7,
    "yolo11n": 6.5,
    "yolo12n": 6.5,
    "yolo26n": 5.4,
}
# the same of larger scales; of RT-DETR its paper's (arXiv 2304.08069), of the model before it is fused
LARGER = {
    "yolov8": {"s": 28.6, "m": 78.9, "l": 165.2, "x": 257.8},
    "yolov9": {"s": 26.4, "m": 76.3, "c": 102.1, "e": 189.0},
    "yolov10": {"s": 21.6, "m": 59.1, "b": 92.0, "l": 120.3, "x": 160.4},
    "yolo11": {"s": 21.5, "m": 68.0, "l": 86.9, "x": 194.9},
    "yolo12": {"s": 21.4, "m": 67.5, "l": 88.9, "x": 199.0},
    "yolo26": {"s": 20.7, "m": 68.2, "l": 86.4, "x": 193.9},
}
RTDETR = {"rtdetr-l": 110, "rtdetr-x": 234}
CELLS = 80**2 + 40**2 + 20**2  # of the three maps that a head sees at 640 px
GROUPED = 2 * (9 + 1) * 64 * 64 * CELLS * 3 // 4  # what four groups save in two layers of the box branch


@pytest.fixture(scope="module")
def model() -> dict[str, nn.Module]:
    return {name: build(Path(f"{name}.yaml")) for name in PUBLISHED}


@pytest.fixture(scope="module")
def tables() -> dict:
    return {name: count(f"{name}.yaml", 640) for name in PUBLISHED}


def products(table) -> int:
    """FLOPs of attention's matrix products, which older counters miss."""
    return sum(layer.flops for layer in table.layers if layer.kind in ("Attention", "AAttn"))


def published(module: nn.Module, name: str) -> int:
    """What was published of a fused model: without attention's products, but 2 for each element that is upsampled.

    YOLOv9's paper has groups in the head, that of ultralytics has none.
    """
    fused, upsampled = without_numbers(deployed(module)), []
    for layer in fused.modules():
        if isinstance(layer, nn.Upsample):
            layer.register_forward_hook(lambda _, __, output: upsampled.append(output.numel()))
    table = operations.count(fused, square(640))
    return table.flops - products(table) + 2 * sum(upsampled) - (GROUPED if name.startswith("yolov9") else 0)


@pytest.fixture
def unfilled(monkeypatch):
    """Large models are built faster where nobody draws their weights; counting reads none."""
    monkeypatch.setattr(nn.init, "kaiming_uniform_", lambda tensor, *_, **__: tensor)


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_figures_leave_out_the_products_of_attention(name, model):
    assert round(published(model[name], name) / 1e9, 1) == PUBLISHED[name]


@pytest.mark.command
@pytest.mark.parametrize("family", LARGER)
def test_published_figures_of_larger_scales_leave_out_the_same(family, unfilled):
    names = {scale: f"{family}{scale}" for scale in LARGER[family]}
    found = {scale: published(build(Path(f"{name}.yaml")), name) for scale, name in names.items()}
    assert {scale: round(flops / 1e9, 1) for scale, flops in found.items()} == LARGER[family]


@pytest.mark.parametrize("name", RTDETR)
def test_rtdetr_was_published_before_it_is_fused(name, unfilled):
    assert (
        round(operations.count(without_numbers(build(Path(f"{name}.yaml"))), square(640)).flops / 1e9) == RTDETR[name]
    )


@pytest.mark.parametrize("name", PUBLISHED)
def test_ultralytics_counts_the_same_on_the_fused_model(name, model, tables):
    fused = deployed(model[name])
    assert round(get_flops(fused, 640) * 1e9) == tables[name].total.flops
    for given, size in ((model[name], tables[name].trained), (fused, tables[name].fused)):
        assert model_info(given, imgsz=64)[:3] == (size.layers, size.parameters, size.gradients)


@pytest.mark.parametrize("name", ["yolov8n", "yolo11n", "yolo26n"])
def test_before_fusing_ultralytics_adds_eight_for_each_element_that_batchnorm_takes(name, model):
    """On a YOLO26 it also counts the second head, as our counter does on a model that is not fused."""
    elements = []
    hooks = [
        module.register_forward_hook(lambda _, inputs, __: elements.append(inputs[0].numel()))
        for module in model[name].modules()
        if isinstance(module, nn.BatchNorm2d)
    ]
    unfused = operations.count(model[name], square(64))
    for hook in hooks:
        hook.remove()
    assert round(get_flops(model[name], 64) * 1e9) == unfused.flops + 8 * sum(elements)
    fused = operations.count(deployed(model[name]), square(64)).flops
    assert (unfused.flops > fused) == (name == "yolo26n")


def test_ultralytics_also_counts_the_norms_and_the_softmax_of_rtdetr():
    fused = deployed(build(Path("rtdetr-l.yaml")))
    queries, heads, layers, width, places = 300, 8, 6, 256, 20**2
    norms = width * (2 * places + 3 * layers * queries + 2 * CELLS)  # encoder, decoder, its input's two
    softmax = sum(heads * many * (3 * long - 1) for many, long in ((queries * layers, queries), (places, places)))
    ours = count("rtdetr-l.yaml", 640).total.flops
    assert round(get_flops(fused, 640) * 1e9) == ours + 8 * norms + 2 * softmax


@pytest.mark.command
@pytest.mark.parametrize("name", [*PUBLISHED, "rtdetr-l"])
def test_fvcore_counts_multiply_adds_and_some_that_are_none(name):
    pytest.importorskip("fvcore", reason="fvcore is not installed (pip install fvcore)")
    from fvcore.nn import FlopCountAnalysis

    analysis = FlopCountAnalysis(deployed(build(Path(f"{name}.yaml"))), torch.zeros(1, 3, 64, 64))
    found = analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False).by_operator()
    norms = ["batch_norm", "grid_sampler", "layer_norm"] if name == "rtdetr-l" else []
    more = sum(found.pop(operator) for operator in ("upsample_nearest2d", *norms))
    assert more > 0
    assert 2 * sum(found.values()) == count(f"{name}.yaml", 64).total.flops


@pytest.mark.command
@pytest.mark.parametrize("yaml", ["yolov8n.yaml", "yolo26n.yaml"])
def test_exported_graphs_have_the_same_figures_layer_by_layer(yaml, tmp_path):
    path = lively(yaml, tmp_path / "tiny.pt")
    torch_layers = _without_dfl(count(path, 64))
    for runtime in (OnnxRuntime(), OpenVino()):
        graph = count(runtime.export(Variant(path, "torch", "fp32", square(64)), tmp_path).path)
        assert graph.imgsz == square(64)
        assert _without_dfl(graph) == torch_layers
        assert graph.trained is graph.fused is None


def _without_dfl(table) -> dict:
    """Every figure of every layer; the graph gives DFL, which has no parameters to learn, as a matrix product."""
    return {layer.name: replace(layer, kind="") for layer in table.layers if ".dfl" not in layer.name}


def test_a_layer_by_its_formulas():
    first = count("yolov8n.yaml", 64).layers[0]
    assert (first.name, first.kind) == ("model.0.conv", "Conv2d")
    assert first.flops == 2 * first.macs == 2 * (3 * 3 * 3) * 16 * 32 * 32
    assert first.parameters == 3 * 3 * 3 * 16 + 16
    assert first.weight_bytes == 4 * first.parameters
    assert (first.read_bytes, first.written_bytes) == (4 * 3 * 64 * 64, 4 * 16 * 32 * 32)
    assert first.intensity == first.flops / (first.weight_bytes + first.read_bytes + first.written_bytes)


def test_following_shapes_gives_the_operations_of_computing():
    for name in ("yolo12n", "yolo26n-seg", "yolov8n-rtdetr"):
        fused = deployed(build(Path(f"{name}.yaml")))
        followed, computed = operations.count(without_numbers(fused), square(64)), operations.count(fused, square(64))
        assert computed.uncounted == followed.uncounted
        for one, other in zip(computed.layers, followed.layers, strict=True):
            # BatchNorm says on `meta` only that it would also write its statistics
            assert replace(one, activation_bytes=0) == replace(other, activation_bytes=0)


def test_a_yaml_runs_no_code(tmp_path):
    path, sign = tmp_path / "bad.yaml", tmp_path / "ran"
    path.write_text(f"nc: 2\nactivation: open({str(sign)!r}, 'w')\nbackbone: []\nhead:\n  - [-1, 1, Classify, [nc]]\n")
    with pytest.raises(InputError, match="can't be built"):
        count(path, 32)
    assert not sign.exists()


def test_a_model_of_one_channel_is_counted_with_one(tmp_path):
    grey = tmp_path / "grey.yaml"
    grey.write_text("channels: 1\nnc: 2\nbackbone:\n  - [-1, 1, Conv, [8, 3, 2]]\nhead:\n  - [-1, 1, Classify, [nc]]\n")
    assert count(grey, 32).layers[0].flops == 2 * 3 * 3 * 1 * 8 * 16 * 16


def test_a_q_dq_file_counts_integers_and_the_bytes_that_they_take(tmp_path):
    """A convolution between quantized tensors, and a second one whose output stays float."""
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "scale", "zero"], ["xq"]),
        helper.make_node("DequantizeLinear", ["xq", "scale", "zero"], ["xd"]),
        helper.make_node("DequantizeLinear", ["w", "scale", "zero"], ["wd"]),
        helper.make_node("Conv", ["xd", "wd"], ["c"], name="/model.0/conv/Conv"),
        helper.make_node("QuantizeLinear", ["c", "scale", "zero"], ["cq"]),
        helper.make_node("DequantizeLinear", ["cq", "scale", "zero"], ["cd"]),
        helper.make_node("Conv", ["cd", "v"], ["y"], name="/model.1/cv2.0/cv2.0.1/Conv"),
    ]
    weights = {"w": np.zeros((4, 3, 1, 1), np.int8), "v": np.zeros((2, 4, 1, 1), np.float32)}
    path = _onnx(tmp_path, [1, 3, 32, 32], nodes, scale=np.float32(0.1), zero=np.int8(0), **weights)
    first, second = count(path).layers
    assert (first.name, second.name) == ("model.0.conv", "model.1.cv2.0.1")
    assert (first.int_ops, first.float_ops) == (2 * 3 * 4 * 32 * 32, 0)
    assert (first.weight_bytes, first.read_bytes, first.written_bytes) == (4 * 3, 3 * 32 * 32, 4 * 32 * 32)
    assert (second.int_ops, second.float_ops) == (0, 2 * 4 * 2 * 32 * 32)
    assert (second.weight_bytes, second.read_bytes, second.written_bytes) == (4 * 4 * 2, 4 * 32 * 32, 4 * 2 * 32 * 32)


def _onnx(tmp_path: Path, shape: list, nodes: list | None = None, **weights) -> Path:
    nodes = nodes or [helper.make_node("Conv", ["x", "w"], ["y"])]
    weights = weights or {"w": np.zeros((4, 3, 3, 3), np.float32)}
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in weights.items()],
    )
    path = tmp_path / "x.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)]), path)
    return path


def test_an_operator_of_a_graph_without_a_name_is_called_by_its_output(tmp_path):
    table = count(_onnx(tmp_path, [1, 3, 32, 64]))
    (layer,) = table.layers
    assert (layer.name, layer.kind, table.imgsz) == ("y", "Conv", Size(32, 64))
    assert layer.flops == 2 * 27 * 4 * 30 * 62


@pytest.mark.parametrize(
    ("shape", "imgsz", "sentence"),
    [
        (["batch", 3, 64, 64], None, "has the dynamic input (batch, 3, 64, 64)"),
        ([1, 128], None, "takes (1, 128), so it is no detector"),
        ([1, 64, 64, 3], None, "takes (1, 64, 64, 3), which is no image"),
        ([16, 3, 64, 64], None, "takes 16 images at once"),
        ([1, 3, 64, 64], 32, "takes images of 64x64, not of imgsz=32"),
    ],
)
def test_a_graph_that_takes_no_single_image_is_refused(shape, imgsz, sentence, tmp_path):
    path = _onnx(tmp_path, shape)
    with pytest.raises(InputError) as error:
        count(path, imgsz)
    assert str(error.value).startswith(f"model={path} {sentence}")


def test_a_graph_that_multiplies_nothing_is_no_detector(tmp_path):
    path = _onnx(tmp_path, [1, 3, 64, 64], [helper.make_node("Relu", ["x"], ["y"])])
    with pytest.raises(InputError, match="no convolution and no matrix product"):
        count(path)


def test_an_operator_without_a_formula_gives_no_total(tmp_path):
    node = helper.make_node("ConvInteger", ["x", "w"], ["y"])
    with pytest.raises(MeasurementError, match="ConvInteger has no FLOPs formula"):
        count(_onnx(tmp_path, [1, 3, 64, 64], [node]))


@pytest.mark.parametrize("name", ["x.onnx", "x.xml", "x.pt", "x.yaml", "x.txt"])
def test_a_file_that_is_missing_or_holds_something_else_is_one_sentence(name, tmp_path):
    path = tmp_path / name
    for content in (None, "no model: ["):
        if content:
            path.write_text(content)
        with pytest.raises(InputError) as error:
            count(path)
        assert str(error.value).startswith(f"model={path} ")
        assert "\n" not in str(error.value)


def test_the_command_shows_every_layer_of_one_model(capsys):
    main(["model=yolov8n.yaml", "imgsz=64"])
    out = capsys.readouterr().out
    assert "│ model.22.dfl.conv " in out
    assert "yolov8n.yaml 64x64 summary: 129 layers, 3,157,200 parameters, 3,157,184 gradients" in out
    assert "yolov8n.yaml 64x64 summary (fused): 72 layers, 3,151,904 parameters, 0 gradients, 0.1 GFLOPs" in out
    assert "2 per multiply-add (MACs are half)" in out
    assert "FLOPS, the speed of a machine, is something else" in out
    assert "Not counted: add, " in out


def test_the_command_shows_models_and_sizes_side_by_side_and_writes_them(tmp_path, capsys):
    files = [tmp_path / "t.json", tmp_path / "t.csv"]
    main(["model=[yolov8n.yaml,yolo26n.yaml]", "imgsz=[64,128]", f"out=[{files[0]},{files[1]}]"])
    out = capsys.readouterr().out
    assert "Side by side" in out
    assert "MFLOPs by block" in out
    models = json.loads(files[0].read_text())["models"]
    assert [(m["model"], m["imgsz"]) for m in models] == [
        (name, [side, side]) for name in ("yolov8n.yaml", "yolo26n.yaml") for side in (64, 128)
    ]
    small, large = models[:2]
    assert large["flops"] == 4 * small["flops"]  # nothing but convolutions
    assert large["parameters"] == small["parameters"] == 3_151_904
    assert small["flops"] == sum(layer["flops"] for layer in small["layers"]) == 2 * small["macs"]
    assert small["trained"] == {"layers": 129, "parameters": 3_157_200, "gradients": 3_157_184}
    assert "softmax" in small["uncounted"]
    with files[1].open() as file:
        rows = list(csv.DictReader(file))
    assert sum(int(row["flops"]) for row in rows) == sum(m["flops"] for m in models)
    assert [row["intensity"] for row in rows if row["kind"] == "Attention"] == [""] * 4


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["yolo26n.pt"], "yolo26n.pt ... give key=value ... model=yolo26n.pt"),
        (["imgsz=64"], "model is missing ... model=yolo26n.pt ... model=[a.pt,b.onnx]"),
        (["model=a", "size=3"], "size is not a key ... model, imgsz, out, trust"),
        (["model=a", "imgsz=[a"], "imgsz=[a ... [a,b], without spaces"),
        (
            ["model=yolov8n.yaml", "imgsz=100"],
            "imgsz=100 ... yolov8n.yaml ... stride 32, e.g. 96 or 128.",
        ),
        (
            ["model=yolov8n.yaml", "imgsz=0"],
            "imgsz=0 ... pixels ... stride",
        ),
        (["model=yolov8n.yaml", "imgsz=big"], "imgsz=big ... a whole number"),
        (["model=yolov8n.yaml", "out=x.txt"], "out=x.txt ... .json or a .csv"),
        (["model=yolov8n.yaml", "out=no/x.csv"], "out=no/x.csv ... does not exist ... make no first"),
    ],
)
def test_bad_words_are_one_sentence(words, sentence):
    with pytest.raises(InputError, match=f"^{like(sentence)}.*$"):
        main(words)


def test_no_example_asks_a_graph_for_several_sizes():
    examples = [line for line in HELP.splitlines() if "imgsz=[" in line]
    assert examples
    assert not [line for line in examples if "onnx" in line or "openvino" in line]


def test_a_single_value_is_a_list_of_one():
    assert parse(["model=a.pt", "imgsz=64"]) == parse(["model=[a.pt]", "imgsz=[64]"])


@pytest.mark.command
def test_graphs_need_neither_torch_nor_ultralytics(checkpoint, tmp_path):
    for runtime in (OnnxRuntime(), OpenVino()):
        path = runtime.export(Variant(checkpoint, "torch", "fp32", square(64)), tmp_path).path
        code = (
            f"import sys; from optimize.flops.__main__ import main; main(['model={path}']); "
            "sys.exit(len({'torch', 'ultralytics'} & set(sys.modules)))"
        )
        ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        assert (ran.returncode, ran.stderr) == (0, "")
        assert f"{path} 64x64" in ran.stdout.replace("\n", "")
