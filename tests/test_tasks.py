"""Every task from end to end: made and measured by the pipeline, then measured and loaded by stock ultralytics."""

import json
import shutil
from pathlib import Path

import pytest
from ultralytics import RTDETR, YOLO

from helpers.commands import command
from helpers.lively import lively
from helpers.messages import like, says
from helpers.tiny_tasks import CLASSES, SIDE, TASKS, write_dataset
from optimize.dataset import LeftOut
from optimize.errors import InputError
from optimize.input_size import square
from optimize.pruner.l2 import L2
from optimize.pruner.prune import prune
from optimize.pruner.scan import Scan, scan
from optimize.pruner.settings import Pruning
from optimize.pruner.taylor import Taylor
from optimize.yolo.checkpoint import load
from optimize.yolo.dataset import resolve
from optimize.yolo.tasks import BY_NAME


@pytest.mark.command
@pytest.mark.parametrize("task", TASKS)
def test_a_model_of_every_task_is_pruned_exported_and_measured(task, monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # training on more threads takes longer for images this small
    data = write_dataset(tmp_path / "data", task)
    model = lively(TASKS[task], tmp_path / "tiny.pt", classes=CLASSES[task])
    given = f"model={model}", f"data={data}", "rounds=12", "threads=1", "epochs=1", "batch=4", "runtime=[onnxruntime]"
    code, out, err = command(monkeypatch, capsys, *given, "prune=0.3", "pruner=l2", "quant=none", "rivals=none")
    assert code == 0, err
    metrics = BY_NAME[task].metrics
    main = next(iter(metrics))
    assert f"epoch 1 of 1: {main} " in err
    rows = json.loads((Path(out.splitlines()[-1]) / "results.json").read_text())["results"]
    rows = {(row["variant"]["runtime"], row["name"]): row for row in rows}
    original, pruned = rows["onnxruntime", "original"], rows["onnxruntime", "pruned"]
    assert 0.28 <= 1 - pruned["flops"] / original["flops"] <= 0.32
    assert f"│ {main}" in out or f" {main} " in out
    for row in rows.values():
        assert next(iter(row["accuracy"]["metrics"])) == main
    stock = RTDETR if task == "rtdetr" else YOLO
    for row in (original, pruned):
        found = stock(row["variant"]["path"]).val(
            data=str(data), imgsz=SIDE, device="cpu", plots=False, save_dir=tmp_path / "stock"
        )
        assert {name: found.results_dict[key] for name, key in metrics.items()} == row["accuracy"]["metrics"]
    assert original["accuracy"]["metrics"][main] > 0  # else the comparison above says nothing
    loaded = stock(rows["torch", "pruned"]["variant"]["path"])
    assert loaded.names == {i: f"class{i}" for i in range(CLASSES[task])}
    assert sum(p.numel() for p in loaded.model.parameters()) < sum(p.numel() for p in stock(model).model.parameters())
    loaded.predict(next(tmp_path.glob("data/**/*.png")), imgsz=SIDE, verbose=False)


@pytest.mark.command
@pytest.mark.parametrize("task", TASKS)
def test_the_loss_of_every_task_ranks_channels_and_layers(task, tmp_path):
    model = load(lively(TASKS[task], tmp_path / "tiny.pt", classes=CLASSES[task]))
    data = resolve(str(write_dataset(tmp_path / "data", task)), task)
    scanned = scan(model, square(SIDE), Scan(Taylor(data, images=4), data, images=4))
    report = prune(model, square(SIDE), Pruning(0.3, L2(), round_to=16, scope="measured", data=data), scanned)
    assert report.reached == pytest.approx(0.3, abs=0.01)


def labelled(root: Path, task: str, row: str) -> Path:
    """A data set of `task` in which one training image has the label `row`."""
    yaml = write_dataset(root, task)
    (root / "labels" / "train" / "0.txt").write_text(f"{row}\n")
    return yaml


@pytest.mark.parametrize("task", ["segment", "obb"])
def test_boxes_among_the_polygons_are_refused_as_ultralytics_refuses_them(task, tmp_path):
    """Stock raises, with this text but for the name, before it trains."""
    yaml = labelled(tmp_path, task, "0 0.5 0.5 0.2 0.2")
    with pytest.raises(InputError) as error:
        resolve(str(yaml), task)
    named, what = {"segment": ("Segment", "a segment"), "obb": ("OBB", "an OBB")}[task]
    images = tmp_path / "images" / "train"
    stock = f"{named} dataset ... len(segments) = 7, len(boxes) = 8. ... {what} dataset"
    where = f"data={yaml} can't be used ... train split ({images})"
    assert says(str(error.value), f"{where} ... {stock} ... {images}/0.png has plain boxes ... other data")


def test_a_pose_label_without_keypoints_is_left_out(tmp_path):
    found = resolve(str(labelled(tmp_path, "pose", "0 0.5 0.5 0.2 0.2")), "pose")
    assert [image.name for image in found.train] == [f"{i}.png" for i in range(1, 8)]
    assert found.left_out == (
        LeftOut("train", 1, 8, {"labels require 11 columns each": 1}, ("images/train/0.png",), {"class0": (1, 4)}),
    )


def test_a_pose_data_set_without_keypoints_or_with_others_is_refused(monkeypatch, capsys, tmp_path):
    yaml = write_dataset(tmp_path / "data", "pose")
    yaml.write_text(yaml.read_text().replace("kpt_shape: [2, 3]\n", ""))
    with pytest.raises(InputError, match=like("kpt_shape None ... [keypoints, 2 or 3]")):
        resolve(str(yaml), "pose")
    yaml.write_text(yaml.read_text() + "kpt_shape: [3, 2]\n")  # 6 numbers as well
    for label in yaml.parent.rglob("*.txt"):
        label.write_text(label.read_text().replace(" 2", " 0.5"))
    monkeypatch.chdir(tmp_path)
    model = lively(TASKS["pose"], tmp_path / "tiny.pt")
    code, _, err = command(monkeypatch, capsys, f"model={model}", f"data={yaml}")
    assert code == 1
    assert says(err, f"error: model={model} has kpt_shape [2, 3] ... data={yaml} has [3, 2] ... give data")


def test_classify_data_is_a_folder_of_folders(tmp_path):
    root = write_dataset(tmp_path / "data", "classify")
    found = resolve(str(root), "classify")
    assert (found.names, len(found.train), len(found.val)) == (tuple(f"class{i}" for i in range(6)), 12, 12)
    image = root / "train" / "class0" / "0.png"
    shutil.copy(image, root / "train" / "class1" / "copy.png")
    assert resolve(str(root), "classify").fingerprint != found.fingerprint
    (root / "val" / "class9").mkdir()
    shutil.copy(image, root / "val" / "class9" / "0.png")
    shutil.copy(image, root / "val" / "0.png")
    reasons = {"the folder class9 is no class of the training split": 1, "it lies in no folder of a class": 1}
    left_out = LeftOut("val", 2, 14, reasons, ("val/class9/0.png", "val/0.png"), {})
    assert resolve(str(root), "classify").left_out == (left_out,)
    shutil.rmtree(root / "val")
    with pytest.raises(InputError, match=like("no folder val ... train and val")):
        resolve(str(root), "classify")
    (root / "train").rename(root / "other")
    with pytest.raises(InputError, match=like("no folder train ... train and val")):
        resolve(str(root), "classify")
    assert not (tmp_path / "data_split").exists()  # which ultralytics would make
    with pytest.raises(InputError, match=r"data\.yaml can't be used: .* must be a directory"):
        resolve(str(tmp_path / "data.yaml"), "classify")
