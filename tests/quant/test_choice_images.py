"""Files are chosen on images that the report isn't of, and the report says which are which."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from ultralytics import YOLO

from helpers import reports
from helpers.commands import command
from helpers.lively import lively
from helpers.messages import is_error, says
from helpers.tiny_tasks import write_dataset
from optimize import judge as judging
from optimize.data.selection import separate
from optimize.dataset import Dataset, ImageSet
from optimize.identity import identity
from optimize.input_size import square
from optimize.judge import Judge
from optimize.measure.accuracy import Accuracy
from optimize.quant.int8 import Int8
from optimize.report import words
from optimize.runtime.torch import Torch
from optimize.variant import Variant
from optimize.verdict import gates
from optimize.work import Quantized

TEST, VAL = ImageSet("test", 8, 8, "t"), ImageSet("val", 9, 9, "v")


@pytest.fixture
def asked(monkeypatch, tmp_path):
    """The splits of the images that were validated, so far."""
    validated: list[str] = []

    def validate(session, data, imgsz, keep, images, metric, end2end) -> Accuracy:
        validated.append(images.split)
        return Accuracy({"mAP50-95": 0.5 if images.split == "val" else 0.25}, 0, {})

    monkeypatch.setattr(judging, "validate", validate)
    monkeypatch.setattr(Judge, "open", lambda self, variant: lambda images: [])
    monkeypatch.setattr(Judge, "metadata", lambda self, variant: {"end2end": False})
    return validated


def of(tmp_path: Path, test: bool) -> Judge:
    files = tuple(tmp_path / f"{i}.png" for i in range(8))
    data = Dataset(tmp_path / "data.yaml", ("a",), (), files[:4], "f00d")
    data = separate(replace(data, test=files[4:], test_fingerprint="beef")) if test else data
    return Judge(data, (Torch(),), tmp_path / "store", threads=1, rounds=12, seed=0)


def test_each_is_validated_once_and_where_both_are_the_same_images_so_is_the_file(asked, tmp_path):
    (tmp_path / "tiny.pt").write_bytes(b"model")
    variant = Variant(tmp_path / "tiny.pt", "torch", "fp32", square(64))
    for _ in range(2):
        judge = of(tmp_path, test=True)
        assert (judge.score(variant).score, judge.choice_score(variant).score) == (0.25, 0.5)
    assert asked == ["test", "val"]
    judge = of(tmp_path, test=False)
    assert judge.score(variant) == judge.choice_score(variant)
    assert asked == ["test", "val"]  # the whole validation split was validated already


def test_an_int8_file_depends_on_the_images_it_was_chosen_on(tmp_path):
    one, same, other = (of(tmp_path, test) for test in (True, False, False))
    part = replace(same.data.validation_images, files=same.data.val[:2], fingerprint="part")
    third = replace(other, data=replace(other.data, separated=(part, part)))
    assert identity(Int8(one.data, one)) == identity(Int8(same.data, same)) != identity(Int8(third.data, third))


def quantized(decided_on: str | None, **changes):
    work = Quantized(drop=2.0, max_drop=1.0, reached=False, recipe="min-max", decided_on=decided_on)
    first, *others = reports.report().results
    made = reports.provenance(**changes)
    return reports.report(results=(first, replace(others[-1], quantization=work)), provenance=made)


def test_the_first_lines_say_that_choice_and_report_share_images():
    (alarm,) = [
        one
        for one in gates.fired(quantized("9 validation images", accuracy_on=VAL, chosen_on=VAL))
        if "same" in one.name
    ]
    assert says(alarm.sentence, "choice and report share 9 images ... add `test:` ... or give 150 validation images")
    config = {"selection": "val"}
    gate, *_ = gates.fired(quantized("9 validation images", accuracy_on=VAL, chosen_on=VAL, config=config))
    assert gate.name == "same images" and says(gate.sentence, "share 9 images ... leave out selection=val")
    for quiet in (
        quantized("9 validation images", accuracy_on=TEST, chosen_on=VAL),
        quantized(None),  # of version 0.3
        reports.report(provenance=reports.provenance(accuracy_on=VAL, chosen_on=VAL)),  # nothing was chosen
    ):
        assert "same images" not in [gate.name for gate in gates.fired(quiet)]


def test_a_drop_names_the_images_it_was_measured_on():
    for decided_on, where in (
        ("9 validation images", " on the 9 validation images that this is decided on"),
        (None, ""),
    ):
        sentence = quantized(decided_on).results[1].missed
        assert f"loses 2.0 points of mAP50-95 at best{where}, quant.max_drop=1.0 is allowed" in sentence


def test_the_report_names_the_images_of_both():
    def note(**changes) -> str:
        return next(note for note in words.notes(quantized(None, **changes)) if note.startswith("Accuracy"))

    assert "validator on 8 images, letterbox" in note()
    both = note(accuracy_on=TEST, chosen_on=VAL)
    assert "validator on 8 test images (choices" in both and "were made on 9 validation images)" in both
    assert "validator on 9 validation images, on which choices" in note(accuracy_on=VAL, chosen_on=VAL)


@pytest.mark.command
def test_a_run_reports_the_test_split_and_with_selection_val_the_validation_split(monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    data = write_dataset(tmp_path / "data", "segment", test=True)
    model = lively("yolo11n-seg.yaml", tmp_path / "tiny.pt")
    given = f"model={model}", f"data={data}", "rounds=12", "threads=1", "prune=0", "rivals=none"
    given = *given, "quant=int8", "quant.calibration_images=4", "quant.max_drop=100", "runtime=[onnxruntime]"
    for words_, split, chosen in (((), "test", "val"), (("selection=val",), "val", "val")):
        code, out, err = command(monkeypatch, capsys, *given, *words_)
        assert code == 0, err
        found = json.loads((Path(out.splitlines()[-1]) / "results.json").read_text())
        made, rows = found["provenance"], {row["name"]: row for row in found["results"]}
        assert (made["accuracy_on"]["split"], made["chosen_on"]["split"]) == (split, chosen)
        assert rows["int8"]["quantization"]["decided_on"] == "8 validation images"
        assert ("same images" in [alarm["name"] for alarm in found["alarms"]]) is (split == chosen)
        assert {image["name"] for image in found["disagreement"]["worst"]} <= {f"{i}.png" for i in range(8)}
        stock = YOLO(rows["int8"]["variant"]["path"]).val(
            data=str(data), split=split, imgsz=64, device="cpu", plots=False, save_dir=tmp_path / "stock"
        )
        assert round(stock.seg.map, 4) == round(rows["int8"]["accuracy"]["metrics"]["mask mAP50-95"], 4)
    code, _, err = command(monkeypatch, capsys, *given, "selection=third")
    assert code == 1 and is_error(err, "selection=third is not allowed; give auto or val")
