"""What a machine does to a run: each fault is one sentence, and nothing is lost or half-written."""

import errno
import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from filelock import FileLock
from PIL import Image

from helpers import reports
from helpers.commands import command
from helpers.messages import is_error, like
from optimize.checks import check_unchanged
from optimize.errors import InputError
from optimize.input_size import square
from optimize.measure import validation
from optimize.measure.accuracy import Accuracy
from optimize.measure.detections import Box, Detections
from optimize.report import page
from optimize.store import manifest
from optimize.store.apply import MANIFEST, apply
from optimize.variant import Variant
from optimize.yolo.dataset import resolve

QUICK = "rounds=12", "threads=1", "rivals=none", "quant=none", "runtime=[]", "prune=0"
FOUND = Accuracy({"mAP50-95": 0.5}, 2, {"dark": 0.5}, {"dark": 2}, (0.5, 0.5))


@pytest.fixture
def data(dataset, tmp_path) -> Path:
    """A data set of the test's own."""
    shutil.copytree(dataset.parent, tmp_path / "data", ignore=shutil.ignore_patterns("*.cache"))
    return tmp_path / "data" / "data.yaml"


@pytest.mark.command
@pytest.mark.parametrize(
    ("place", "code", "said"),
    [
        ("runs/store", errno.EROFS, "the folder is read-only"),
        ("runs/now", errno.EACCES, "permission was denied"),
    ],
)
def test_a_folder_that_cannot_be_written_is_named(
    place, code, said, dataset, checkpoint, tmp_path, monkeypatch, capsys
):
    """Below Python's own calls, as a read-only mount would: root may write everywhere."""
    monkeypatch.chdir(tmp_path)
    refused, text, mkdir = tmp_path / place, Path.write_text, os.mkdir

    def shut(path) -> None:
        path = Path(path).absolute()
        if refused in (path, *path.parents) and (place == "runs/store" or path.name.startswith(".results.json")):
            raise OSError(code, os.strerror(code), str(path))

    def write_text(path, *arguments, **named):
        shut(path)
        return text(path, *arguments, **named)

    def make(path, *arguments, **named):
        shut(path)
        return mkdir(path, *arguments, **named)

    monkeypatch.setattr(Path, "write_text", write_text)
    monkeypatch.setattr(os, "mkdir", make)
    words = f"model={checkpoint}", f"data={dataset}", *QUICK, "hydra.run.dir=runs/now"
    code, _, err = command(monkeypatch, capsys, *words)
    assert code == 1
    last = err.splitlines()[-1]
    assert is_error(last, f"{said} ( ... free some space ... another folder ... kept") and place in last
    assert "Traceback" not in err
    assert not (tmp_path / "runs/now/results.json").exists()
    monkeypatch.setattr(Path, "write_text", text)
    monkeypatch.setattr(os, "mkdir", mkdir)
    assert command(monkeypatch, capsys, *words)[0] == 0


@pytest.mark.command
def test_a_data_set_that_changes_during_the_run_gives_no_report(data, checkpoint, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    before = resolve(str(data)).fingerprint
    label = data.parent / "labels" / "val" / "0.txt"

    def timed(judge, variants, with_frames):
        label.write_text(f"1{label.read_text()[1:]}")  # another class
        return real(judge, variants, with_frames)

    from optimize.judge import Judge

    real = Judge.time
    monkeypatch.setattr(Judge, "time", timed)
    words = f"model={checkpoint}", f"data={data}", *QUICK
    code, out, err = command(monkeypatch, capsys, *words)
    after = resolve(str(data)).fingerprint
    assert (code, out) == (1, "")
    assert is_error(
        err.splitlines()[-1], f"{data} changed during the run ... {before} ... {after} ... no report ... again"
    )
    assert not list(tmp_path.glob("runs/*/results.json"))
    assert len(list(tmp_path.glob("runs/store/*.accuracy.json"))) == 1  # kept, for the data set as it was
    monkeypatch.setattr(Judge, "time", real)
    assert command(monkeypatch, capsys, *words)[0] == 0
    assert len(list(tmp_path.glob("runs/store/*.accuracy.json"))) == 2


def test_a_data_set_that_vanishes_during_the_run_says_what_is_missing(data):
    known = resolve(str(data))
    check_unchanged(known)
    shutil.rmtree(data.parent / "images" / "val")
    with pytest.raises(InputError, match=like("data.yaml changed during the run ... images/val ... leave it as it is")):
        check_unchanged(known)


def found(keep) -> Accuracy:
    for image in range(2):
        keep(Detections(image, (Box("dark", None, ()),), ()))
    return FOUND


@pytest.mark.parametrize("ending", ["accuracy.json", "detections.jsonl"])
@pytest.mark.parametrize("damage", [b"", b"{", b"\xff\xfe", b"[1]\n", b"{}\n", None])
def test_a_damaged_validation_is_made_again(ending, damage, tmp_path):
    calls = []

    def once() -> validation.Validation:
        return validation.validate_once(tmp_path, ("a",), lambda keep: calls.append(1) or found(keep))

    once()
    once()
    assert len(calls) == 1
    (file,) = tmp_path.glob(f"*.{ending}")
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2 + 1] if damage is None else damage)
    made = once()
    assert len(calls) == 2
    assert (made.accuracy, len(list(made.detections()))) == (FOUND, 2)
    assert file.read_bytes() == whole


def written(variant: Variant, folder: Path) -> Variant:
    (folder / "model").write_text("x")
    return replace(variant, path=folder / "model", tags=("written",))


@pytest.mark.parametrize("damage", [b"", b"{", b"\xff\xfe", b"[]", b"{}"])
def test_a_damaged_manifest_is_no_variant(damage, tmp_path):
    original = Variant(tmp_path / "a.pt", "torch", "fp32", square(64), steps=("a",))
    made = apply(written, original, tmp_path)
    (made.path.parent / MANIFEST).write_bytes(damage)
    assert apply(written, original, tmp_path) == made
    assert json.loads((made.path.parent / MANIFEST).read_text())["tags"] == ["written"]


@pytest.mark.command
def test_two_runs_never_share_a_folder(dataset, checkpoint, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    words = f"model={checkpoint}", f"data={dataset}", *QUICK
    folder = tmp_path / "runs" / "now"
    (folder / ".hydra").mkdir(parents=True)
    manifest.begin(folder, manifest.RUN)
    with manifest.placing(folder) as partial:
        (partial / "results.json").write_text("the other's")
    with FileLock(folder / ".hydra" / "lock"):
        code, out, err = command(monkeypatch, capsys, *words, "hydra.run.dir=runs/now")
    assert (code, out) == (1, "")
    assert err.splitlines()[-1] == (
        f"error: another run is writing into {folder}; give another folder, e.g. hydra.run.dir=b."
    )
    assert (folder / "results.json").read_text() == "the other's"


def test_no_name_from_outside_becomes_markup(tmp_path):
    hostile = "</script><script>alert(1)</script>"
    report = reports.report(provenance=reports.provenance(remarks=(hostile,), data=hostile, command=hostile))
    layers = tuple(replace(layer, name=hostile, dense=hostile) for layer in report.stages[0].layers)
    seen = report.disagreement
    report = replace(
        report,
        stages=(replace(report.stages[0], layers=layers),),
        disagreement=replace(seen, worst=tuple(replace(p, name=hostile) for p in seen.worst)),
    )
    (tmp_path / "images").mkdir()
    Image.new("RGB", (96, 64)).save(tmp_path / "images" / "0.jpg")
    page.write(report, tmp_path / "report.html")
    text = (tmp_path / "report.html").read_text()
    assert "alert(1)" in text
    assert "<script>alert" not in text and "</script><script>" not in text
