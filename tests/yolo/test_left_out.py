"""What is left out of a data set is told: at once, in every report, and as its first alarm where it is much."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ultralytics import YOLO

from helpers import reports, sweeps
from helpers.commands import command
from helpers.lively import lively
from helpers.messages import like, says
from helpers.tiny_tasks import write_dataset
from optimize import report as written
from optimize.checks import check_fit
from optimize.data.calibration import calibration_images
from optimize.dataset import LeftOut, titles
from optimize.errors import InputError
from optimize.input_size import square
from optimize.report import results, words
from optimize.sweep.summary.summary import alarms
from optimize.verdict import gates
from optimize.yolo.checkpoint import load, save
from optimize.yolo.dataset import resolve
from optimize.yolo.validate import validate


def left_out(split: str, images: int, listed: int, **objects: tuple[int, int]) -> LeftOut:
    return LeftOut(split, images, listed, {"negative label values": images}, ("a.png",), objects)


@pytest.mark.parametrize(
    ("record", "alarm"),
    [
        (left_out("val", 1, 100), True),
        (left_out("val", 1, 101), False),
        (left_out("val", 1, 1000, cat=(1, 10)), True),
        (left_out("val", 1, 1000, cat=(1, 11)), False),
        (left_out("train", 50, 100, cat=(9, 100)), False),
        (left_out("train", 1, 100, cat=(1, 1000), dog=(2, 20)), True),
    ],
)
def test_much_that_is_left_out_is_the_first_alarm(record, alarm):
    report = reports.report(left_out=(record,), noise=0.5)
    names = [gate.name for gate in gates.fired(report)]
    assert names[:1] == (["left out"] if alarm else ["A/A"])
    assert record.sentence in words.notes(report)


def test_the_alarm_names_reasons_images_and_classes():
    reasons = {"a": 5, "b": 2, "c": 2, "d": 1, "e": 1}
    record = LeftOut("val", 11, 20, reasons, ("images/1.png", "images/2.png"), {"cat": (3, 4), "dog": (1, 90)})
    (gate,) = gates.fired(reports.report(left_out=(record,)))[:1]
    reasons = "a (5); b (2); c (2); other reasons (2) ... images/1.png, images/2.png"
    assert says(gate.sentence, f"leaves out 11 of 20 validation images ... {reasons} ... cat loses 3 of 4 objects")


def test_it_is_kept_in_results_json_and_old_files_are_read(tmp_path):
    report = reports.report(left_out=(left_out("val", 2, 8, dark=(1, 4)),))
    results.write(report, tmp_path / "results.json")
    assert results.read(tmp_path / "results.json").left_out == report.left_out
    content = json.loads((tmp_path / "results.json").read_text())
    assert (content["schema"], content["alarms"][0]["name"]) == (5, "left out")
    del content["left_out"]
    (tmp_path / "results.json").write_text(json.dumps(content))
    assert results.read(tmp_path / "results.json").left_out == ()


def test_every_form_of_the_report_tells_it(tmp_path, capsys):
    record = left_out("val", 2, 8, dark=(1, 4))
    shown = reports.report(left_out=(record,), disagreement=None)
    written.write(shown, tmp_path)
    texts = [(tmp_path / name).read_text() for name in ("report.html", "report.md")]
    for text in (*texts, " ".join(capsys.readouterr().out.split())):
        assert text.count("leaves out 2 of 8 validation images") >= 2  # alarm and note
        assert "dark loses 1 of 4 objects" in text


def test_a_sweep_sounds_the_alarm_of_its_jobs(tmp_path):
    record = left_out("val", 2, 8)
    jobs = {0: sweeps.made(0.1, "none", left_out=(record,)), 1: sweeps.made(0.3, "none", left_out=(record,))}
    swept = sweeps.put(tmp_path / "s", {number: (f"prune=0.{number}", job) for number, job in jobs.items()}, 2)
    gate, numbers = next(iter(alarms(swept).items()))
    assert (gate.name, numbers) == ("left out", [0, 1])
    assert gate.sentence.startswith(record.sentence)


def test_classes_of_one_name_are_told_apart_by_number():
    assert titles(["cat", "dog"]) == ("cat", "dog")
    assert titles(["cat", "dog", "cat"]) == ("cat (0)", "dog", "cat (2)")
    assert titles(["cat", "cat", "cat (1)"]) == ("cat (0)", "cat (1)", "cat (1) (2)")


@pytest.mark.parametrize("task", ["detect", "segment"])
def test_two_classes_of_one_name_are_two_rows_everywhere(task, tmp_path):
    yaml = write_dataset(tmp_path / "data", task)
    yaml.write_text(yaml.read_text().replace("class1", "class0"))
    data = resolve(str(yaml), task)
    seen = []

    def session(pixels: np.ndarray) -> list[np.ndarray]:
        """Whatever is seen is of the first class, with the whole image as its box."""
        box = np.array([[32, 32, 59, 59, 0.9, 0.0, *([1] * 32 if task == "segment" else [])]], np.float32).T[None]
        return [box, np.ones((1, 32, 16, 16), np.float32)] if task == "segment" else [box]

    accuracy = validate(session, data, square(64), seen.append)
    assert accuracy.objects == {"class0 (0)": 4, "class0 (1)": 4}
    assert accuracy.classes["class0 (0)"] > 0.3 and accuracy.classes["class0 (1)"] == 0
    assert {box.label for one in seen for box in one.truth} == {"class0 (0)", "class0 (1)"}
    assert calibration_images(data, 8, 0, square(64)).describe().images_by_class == {
        "class0 (0)": 4,
        "class0 (1)": 4,
    }


def test_the_first_class_that_differs_is_named(checkpoint, dataset):
    model, data = load(checkpoint), resolve(str(dataset))
    common = tuple(f"name{i}" for i in range(7))
    for ours, theirs, said in (
        (
            "cat",
            ("Cat", "dog"),
            "data=x has 9: name0, name1, name2, ... first ... class 7, `cat` and `Cat`",
        ),
        (
            "cat",
            ("cat", "dog"),
            "data=x has 9: name0, name1, name2, ... first ... class 8, nothing and `dog`",
        ),
    ):
        model.names = dict(enumerate((*common, ours)))
        with pytest.raises(InputError) as error:
            check_fit("model=m", model, replace(data, names=(*common, *theirs)), "x", "data with the {} of it")
        parts = f"model=m has the classes 8: name0, name1, name2, ... {said} ... data with the classes of it"
        assert says(str(error.value), parts)


@pytest.mark.command
def test_a_model_of_one_class_is_measured_on_the_data_it_was_trained_on(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    data = write_dataset(tmp_path / "data", "detect")
    model = load(lively("yolov8n.yaml", tmp_path / "tiny.pt", classes=1))
    model.names = {0: "item"}  # as ultralytics' trainer calls it
    model.args["single_cls"] = True
    save(model, tmp_path / "one.pt")
    words = "model=one.pt", f"data={data}", "rounds=12", "threads=1", "rivals=none", "quant=none"
    code, out, err = command(
        monkeypatch, capsys, *words, "runtime=[onnxruntime]", "prune=0.2", "pruner=l2", "epochs=1", "batch=4"
    )
    assert code == 0, err
    rows = json.loads((Path(out.splitlines()[-1]) / "results.json").read_text())["results"]
    assert {row["name"] for row in rows} == {"original", "pruned"}
    for row in rows:
        assert row["accuracy"]["objects"] == {"item": 8}
        if row["variant"]["runtime"] == "onnxruntime":
            stock = YOLO(row["variant"]["path"], task="detect").val(
                data=str(data), imgsz=64, device="cpu", plots=False, single_cls=True, save_dir=tmp_path / "stock"
            )
            assert stock.box.map == row["accuracy"]["metrics"]["mAP50-95"]
    assert load(Path(next(row["variant"]["path"] for row in rows if row["name"] == "pruned"))).args["single_cls"]
    with pytest.raises(InputError, match=like("classes 1: item ... data=x has 2: class0, class1 ... give")):
        check_fit("model=m", model, resolve(str(data)), "x", "{}")
