"""The head that needs no NMS: what stock ultralytics computes with nms=False, in every runtime that can hold it."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import nn
from ultralytics import YOLO

from helpers.commands import command
from helpers.lively import blocks, lively
from helpers.messages import says
from helpers.noise import sqnr
from helpers.quantized import quantized
from helpers.tiny_tasks import CLASSES, SIDE, write_dataset
from optimize.checks import check_heads
from optimize.errors import InputError
from optimize.input_size import square
from optimize.nms_free import NmsFree
from optimize.runtime.onnxruntime import OnnxRuntime
from optimize.runtime.openvino import OpenVino
from optimize.runtime.torch import Torch
from optimize.variant import Variant, without_head
from optimize.yolo.checkpoint import deployed, load, save
from optimize.yolo.dataset import resolve
from optimize.yolo.tasks import BY_NAME
from optimize.yolo.two_heads import has_two_heads, is_end_to_end
from optimize.yolo.validate import validate

MODELS = {
    "yolo26n": "detect",
    "yolov10n": "detect",
    "yolo26n-seg": "segment",
    "yolo26n-pose": "pose",
    "yolo26n-obb": "obb",
}


def both_lively(name: str, path: Path) -> Path:
    """A model whose heads both have signal, and are different."""
    path.parent.mkdir(parents=True, exist_ok=True)
    weights = lively(f"{name}.yaml", path, classes=CLASSES[MODELS[name]])
    model, rng = load(weights), torch.Generator().manual_seed(1)
    head = model.model[-1]
    for part, own in list(head.named_children()):
        if part.startswith("one2one_") and isinstance(own, nn.Module):
            own.load_state_dict(getattr(head, part.removeprefix("one2one_")).state_dict())
            for parameter in own.parameters():
                parameter.data += 0.01 * torch.randn(parameter.shape, generator=rng)
    for level, branch in enumerate(head.one2one_cv2 if head.reg_max == 1 else ()):  # boxes as large as the squares
        branch[-1].weight.data *= 0.1
        branch[-1].bias.data[:] = 3.6 / 2**level  # in cells of 8, 16 and 32 pixels
    save(model, weights)
    return weights


@pytest.fixture(scope="module", params=MODELS)
def both(request, tmp_path_factory) -> tuple[Variant, Variant]:
    """The task, a model with two heads, and the same without the one-to-many head."""
    folder = tmp_path_factory.mktemp("heads")
    whole = Variant(both_lively(request.param, folder / "tiny.pt"), "torch", "fp32", square(64))
    return MODELS[request.param], whole, NmsFree()(whole, folder)


def test_the_head_that_is_left_is_the_one_to_one_head_and_stock_runs_it_end_to_end(both):
    _, whole, free = both
    assert has_two_heads(load(whole.path)) and not is_end_to_end(load(whole.path))
    assert is_end_to_end(load(free.path)) and not has_two_heads(load(free.path))
    assert free.tags == ("nms-free",) and free.name == "nms-free"
    image = torch.from_numpy(blocks(1, 3)).float() / 255
    stock = load(whole.path).eval()
    stock.end2end = True
    with torch.inference_mode():
        expected = stock(image)[0]
        ours = deployed(load(free.path))(image)[0]
    expected, ours = (one[0] if isinstance(one, tuple | list) else one for one in (expected, ours))
    assert ours.shape == expected.shape and ours.shape[2] >= 6
    assert (ours[..., 5] == expected[..., 5]).all()  # the class
    torch.testing.assert_close(ours, expected, atol=2e-3, rtol=1e-4)
    many = deployed(load(whole.path))(image)[0]
    assert (many[0] if isinstance(many, tuple | list) else many).shape != ours.shape


@pytest.mark.parametrize("runtime", [Torch(), OnnxRuntime(), OpenVino()], ids=lambda one: one.info.name)
def test_its_accuracy_is_that_of_yolo_val_with_nms_false(both, runtime, tmp_path):
    task, whole, free = both
    data = write_dataset(tmp_path / "data", task)
    variant = runtime.export(free, tmp_path)
    assert runtime.metadata(variant.path)["end2end"] is True
    assert runtime.metadata(runtime.export(whole, tmp_path).path)["end2end"] is False
    found = validate(runtime.open(variant, 1), resolve(str(data), task), square(SIDE), end2end=True)
    options = {"data": str(data), "imgsz": SIDE, "device": "cpu", "plots": False, "save_dir": tmp_path / "stock"}
    if runtime.info.name == "openvino":  # stock computes in bf16 where it can
        options |= {"quantize": 32}
    checkpoint = YOLO(whole.path).val(nms=False, rect=False, batch=1, **options)
    assert found.score > 0
    for name, key in BY_NAME[task].metrics.items():
        assert found.metrics[name] == pytest.approx(checkpoint.results_dict[key], abs=5e-5), name
    if runtime.info.name == "onnxruntime":
        stock = YOLO(variant.path, task=BY_NAME[task].stock).val(**options)
        assert {name: stock.results_dict[key] for name, key in BY_NAME[task].metrics.items()} == found.metrics


def test_int8_leaves_the_selection_of_the_best_in_float(tmp_path, dataset):
    whole = Variant(both_lively("yolo26n", tmp_path / "tiny.pt"), "torch", "fp32", square(64))
    free = NmsFree()(whole, tmp_path)
    exported = OnnxRuntime().export(free, tmp_path)
    (tmp_path / "int8").mkdir()
    made = quantized(exported, resolve(str(dataset), "detect"), tmp_path / "int8")
    graph = onnx.load(made.path).graph
    producers = {name: node for node in graph.node for name in node.output}
    chosen = [node for node in graph.node if node.op_type in ("TopK", "GatherElements")]
    assert chosen
    for node in chosen:
        assert producers[node.input[0]].op_type != "DequantizeLinear"
    assert sum(node.op_type == "QuantizeLinear" for node in graph.node) > 50
    images = blocks(8, 5).astype(np.float32) / 255
    expected, found = (
        np.stack([run(image[None])[0][0, :20, 4] for image in images])
        for run in (OnnxRuntime().open(exported, 1), OnnxRuntime().open(made, 1))
    )
    assert sqnr(found, expected) > 15
    classes = {int(label) for label in OnnxRuntime().open(made, 1)(images[:1])[0][0, :, 5]}
    assert classes == {0, 1}


@pytest.mark.command
def test_a_run_reports_both_heads_each_with_its_own_frame(monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    data, model = write_dataset(tmp_path / "data", "detect"), both_lively("yolo26n", tmp_path / "tiny.pt")
    given = f"model={model}", f"data={data}", "rounds=12", "threads=1", "epochs=0", "batch=4", "rivals=none"
    words = (
        "runtime=[onnxruntime]",
        "prune=0.3",
        "pruner=l2",
        "quant=int8",
        "nms=false",
        "bundle=true",
    )
    code, out, err = command(monkeypatch, capsys, *given, *words)
    assert code in (0, 3), err
    folder = Path(out.splitlines()[-1])
    rows = json.loads((folder / "results.json").read_text())["results"]
    named = {(row["variant"]["runtime"], row["name"]): row for row in rows}
    models = ("original", "pruned", "nms-free", "pruned+nms-free")
    assert {("torch", name) for name in models} <= named.keys()
    assert {("onnxruntime", f"{name}+int8".removeprefix("original+")) for name in models} <= named.keys()
    assert all(row["frame"]["graph"]["median_ms"] > 0 for row in rows)
    for name in ("nms-free", "pruned+nms-free"):  # a head less
        whole = named["torch", {"nms-free": "original"}.get(name, "pruned")]
        assert named["torch", name]["cost"]["layers"][0] == whole["cost"]["layers"][0]
    stock = YOLO(named["onnxruntime", "pruned+nms-free"]["variant"]["path"], task="detect")
    assert stock.predict(next(tmp_path.glob("data/**/*.png")), imgsz=SIDE, verbose=False)
    about = json.loads((folder / "bundle" / "bundle.json").read_text())
    assert about["head"] == ("end2end" if "nms-free" in about["variant"] else "one2many")


def test_a_model_with_one_head_is_refused_with_what_to_do(checkpoint):
    with pytest.raises(InputError) as error:
        check_heads(False, "model=a.pt", load(checkpoint))
    assert says(str(error.value), "nms=false is for models with two heads, as YOLO10 and YOLO26 ... model=a.pt has one")
    check_heads(None, "model=a.pt", load(checkpoint))


def test_a_model_without_the_one_to_many_head_is_no_model_with_two(both):
    with pytest.raises(InputError):
        check_heads(False, "model=a.pt", load(both[2].path))


def test_the_tags_of_both_heads_are_those_of_their_model():
    assert without_head(("pruned", "nms-free", "int8")) == ("pruned", "int8")
    assert (
        replace(Variant(Path("a"), "torch", "fp32", square(64)), tags=("pruned", "nms-free")).name == "pruned+nms-free"
    )
