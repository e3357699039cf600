"""What a user could take instead: chosen and named, refused where it does another job, and measured like our own."""

import json
import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from ultralytics.nn.tasks import DetectionModel

from helpers import reports
from helpers.commands import command
from helpers.lively import lively
from helpers.messages import is_error, says
from optimize import rivals
from optimize.input_size import Size, smaller, square
from optimize.judge import Judge
from optimize.measure import operations
from optimize.measure.detections import Detections
from optimize.runtime.torch import Torch
from optimize.variant import Variant
from optimize.variants import Model, _rivals
from optimize.yolo.checkpoint import deployed, load, save
from optimize.yolo.dataset import resolve


@pytest.mark.parametrize("share", [0.9, 0.7, 0.4, 0.01])
def test_the_smaller_input_is_the_one_whose_flops_are_nearest(share, checkpoint):
    original = Variant(checkpoint, "torch", "fp32", square(160), steps=("original",))
    network = deployed(load(checkpoint))
    flops = {square(side): operations.count(network, square(side)).flops for side in (32, 64, 96, 128, 160)}
    wanted = share * flops.pop(square(160))
    found, counted = rivals.smaller(original, wanted)
    assert found.imgsz == min(flops, key=lambda imgsz: abs(flops[imgsz] - wanted))
    assert counted.flops == flops[found.imgsz]
    assert (found.name, found.path) == (f"{found.imgsz}px", checkpoint)
    assert found.key != original.key


def test_there_is_nothing_smaller_than_the_stride(checkpoint):
    assert rivals.smaller(Variant(checkpoint, "torch", "fp32", square(32)), 1) is None


def test_a_rectangle_has_smaller_ones_of_about_its_shape(checkpoint):
    sizes = list(smaller(Size(96, 160), 32))
    assert sizes == [Size(64, 128), Size(64, 96), Size(32, 64), Size(32, 32)]  # 77 and 58 px are nearest to 64
    assert list(smaller(square(96), 32)) == [square(64), square(32)]
    original = Variant(checkpoint, "torch", "fp32", Size(96, 160), steps=("original",))
    found, counted = rivals.smaller(original, 1)
    assert (found.name, found.imgsz) == ("32px", Size(32, 32))
    assert counted.flops == operations.count(deployed(load(checkpoint)), Size(32, 32)).flops


@pytest.mark.parametrize(
    ("shape", "filled"),
    [
        ((480, 640), Size(256, 320)),  # 240 rows are filled
        ((720, 1280), Size(192, 320)),  # 180
        ((640, 480), Size(320, 256)),
        ((480, 480), None),
        ((630, 640), None),  # 315 of 320 rows
        (None, None),
    ],
)
def test_the_rectangle_that_all_images_fill_is_a_rival(shape, filled, checkpoint):
    found = rivals.rectangle(Variant(checkpoint, "torch", "fp32", square(320), steps=("o",)), shape)
    assert (found and found.imgsz) == filled
    assert rivals.rectangle(Variant(checkpoint, "torch", "fp32", Size(320, 256), steps=("o",)), shape) is None


def test_no_rival_is_taken_for_another_row():
    given = (
        "a/best.pt",
        "b/last.pt",
        "yolov8n.pt",
        "original.pt",
        "int8.pt",
        "96px.pt",
        "pruned+int8.pt",
        "yolo11n-2.pt",
    )
    assert rivals.names([(Path(path), "yolo11n") for path in given], ("int8", "bf16", "fp16")) == [
        *("yolo11n", "yolo11n-2", "yolov8n", "original-2", "int8-2", "96px-2", "pruned-int8", "yolo11n-2-2")
    ]


def test_one_checkpoint_at_two_inputs_is_validated_twice(dataset, checkpoint, tmp_path, monkeypatch):
    seen = []

    def validate(session, data, imgsz, keep, images, metric, end2end):
        seen.append(imgsz)
        found = reports.row("original", "torch", "fp32", 1.0, 0.6, 1.0).accuracy
        for image in range(found.images):
            keep(Detections(image, (), ()))
        return found

    monkeypatch.setattr("optimize.judge.validate", validate)
    judge = Judge(resolve(str(dataset)), (Torch(),), tmp_path, threads=1, rounds=12, seed=0)
    for imgsz in (64, 32, 64):
        judge.score(Variant(checkpoint, "torch", "fp32", square(imgsz)))
    assert seen == [square(64), square(32)]


@pytest.mark.command
def test_rivals_are_made_and_measured_in_every_runtime_and_precision(
    monkeypatch, capsys, tmp_path, dataset, checkpoint
):
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(1)
    model = DetectionModel("yolov8n.yaml", nc=2, verbose=False)
    model.names, model.args, model.task = {0: "dark", 1: "bright"}, {"imgsz": 320, "task": "detect"}, "detect"
    save(model, tmp_path / "int8.pt")  # which must not look like a row of ours
    words = f"model={checkpoint}", f"data={dataset}", "pruner=l2", "recover=[bn]", "rounds=12", "threads=1", "epochs=0"
    code, out, err = command(monkeypatch, capsys, *words, "runtime=[onnxruntime]", "rivals=[int8.pt]")
    assert code == 0, err
    folder = Path(out.splitlines()[-1])
    rows = json.loads((folder / "results.json").read_text())["results"]
    assert [(row["variant"]["runtime"], row["name"]) for row in rows] == [
        *(("torch", name) for name in ("original", "pruned", "32px", "int8-2")),
        *(
            ("onnxruntime", name)
            for model in ("original", "pruned", "32px", "int8-2")
            for name in ([model, "int8"] if model == "original" else [model, f"{model}+int8"])
        ),
    ]
    for row in rows:
        assert row["rival"] is row["name"].startswith(("32px", "int8-2"))
        assert row["variant"]["imgsz"]["width"] == (32 if row["name"].startswith("32px") else 64)
        assert row["latency"] and row["accuracy"]["images"] == 8
    assert [row["variant"]["path"] for row in rows[2:4]] == [str(checkpoint), "int8.pt"]  # they stay where they are
    assert rows[2]["flops"] == rows[0]["flops"] / 4
    assert out.count("rival)") == 6
    assert says(out, "Rivals ... 32px is the original at 32 px ... int8-2 is int8.pt at 64 px")
    assert re.search(r"\| 32px\+int8 \((best )?rival\) \| onnxruntime \|", (folder / "report.md").read_text())


def test_off_is_off_and_where_nothing_was_pruned_there_is_no_smaller_input(checkpoint):
    original = Variant(checkpoint, "torch", "fp32", square(64), steps=("original",))
    whole = Model(original, operations.count(deployed(load(checkpoint)), square(64)))
    pruned = replace(whole, cost=replace(whole.cost, layers=whole.cost.layers[:20]))
    other = replace(original, tags=("other",))

    def found(models: list[Model], given: tuple[Variant, ...] | None) -> list[str]:
        return [model.variant.name for model in _rivals(SimpleNamespace(rivals=given), models, [])]

    assert found([whole, pruned], ()) == ["32px"]
    assert found([whole, pruned], (other,)) == ["32px", "other"]
    assert found([whole], (other,)) == found([whole, whole], (other,)) == ["other"]  # no FLOPs were removed
    assert found([whole, pruned], None) == []


CASES = ("missing", "text", "classes", "task", "channels", "no list")


def bad(tmp_path: Path, dataset: Path) -> dict[str, tuple[str, str]]:
    """Name -> what is given, and the sentence."""
    (tmp_path / "text.pt").write_text("hello")
    lively("yolov8n.yaml", tmp_path / "classes.pt", classes=3)
    lively("yolov8n-seg.yaml", tmp_path / "task.pt")
    model = DetectionModel("yolov8n.yaml", ch=4, nc=2, verbose=False)
    model.names, model.args, model.task = {0: "dark", 1: "bright"}, {"imgsz": 64, "task": "detect"}, "detect"
    save(model, tmp_path / "channels.pt")
    given = {name: f"[{tmp_path}/{name}.pt]" for name in CASES} | {"no list": "yolov8n.pt"}
    sentences = {
        "missing": f"rivals={tmp_path}/missing.pt does not exist ... .pt checkpoint",
        "text": f"rivals={tmp_path}/text.pt is not a torch checkpoint ... .pt checkpoint",
        "classes": f"rivals={tmp_path}/classes.pt has the classes 3: class0, class1, class2 ... data={dataset} ... "
        "2: dark, bright ... rivals ... same classes",
        "task": f"rivals={tmp_path}/task.pt is a segment model ... model=",
        "channels": f"rivals={tmp_path}/channels.pt ... 4 channels ... 3 (RGB)",
        "no list": "rivals=yolov8n.pt ... a list ... [a,b], or none",
    }
    return {name: (given[name], sentences[name]) for name in CASES}


@pytest.mark.parametrize("case", CASES)
def test_a_rival_that_does_another_job_is_one_sentence(case, monkeypatch, capsys, tmp_path, dataset, checkpoint):
    given, sentence = bad(tmp_path, dataset)[case]
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    code, out, err = command(monkeypatch, capsys, f"model={checkpoint}", f"data={dataset}", f"rivals={given}")
    assert (code, out) == (1, "")
    assert is_error(err.splitlines()[-1], sentence)
    assert "Traceback" not in err
