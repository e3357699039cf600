"""A poisoned store writes nothing elsewhere, and what it says of an entry is not believed before it was checked."""

import json
import os
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from helpers.messages import like
from optimize.data import digits
from optimize.errors import InputError
from optimize.identity import identity
from optimize.input_size import square
from optimize.measure import validation
from optimize.measure.accuracy import Accuracy
from optimize.measure.detections import Detections
from optimize.sentences import one_sentence
from optimize.store import __main__ as store_command
from optimize.store.apply import apply, report_of
from optimize.store.held import held
from optimize.store.manifest import STORE, begin
from optimize.variant import Variant
from optimize.work import Reestimated

ORIGINAL = Variant(Path("a.pt"), "torch", "fp32", square(64), steps=("a",))
PRECIOUS = "PRECIOUS-MARKER"
DEEP = "[" * 100_000
calls: list[str] = []


@dataclass(frozen=True)
class Write:
    text: str

    def __call__(self, variant: Variant, folder: Path) -> Variant:
        calls.append(self.text)
        (folder / "model").write_text(self.text)
        (folder / "report.json").write_text('{"stage": "batchnorm", "images": 1, "seconds": 1.0}')
        return replace(variant, path=folder / "model", tags=(*variant.tags, "written"))


@pytest.fixture
def store(tmp_path) -> Path:
    calls.clear()
    (tmp_path / "precious").write_text(PRECIOUS)
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "model").write_text(PRECIOUS)
    begin(tmp_path / "store", STORE)
    return tmp_path / "store"


def untouched(tmp_path: Path) -> bool:
    found = (tmp_path / "precious").read_text(), (tmp_path / "folder" / "model").read_text()
    return found == (PRECIOUS, PRECIOUS) and [p.name for p in (tmp_path / "folder").iterdir()] == ["model"]


MANIFESTS = {
    "absolute": {"path": "{precious}"},
    "up": {"path": "../../precious"},
    "windows": {"path": "..\\..\\precious"},
    "itself": {"path": "."},
    "tags up": {"tags": ["../../../precious"]},
    "tags absolute": {"tags": ["/etc"]},
    "tags dots": {"tags": [".."]},
    "tags control": {"tags": ["a\x1bb"]},
    "tags number": {"tags": [5]},
    "runtime": {"runtime": "tpu"},
    "precision": {"precision": "fp4"},
    "no pixels": {"imgsz": 0},
    "other pixels": {"imgsz": 128},
    "text": {"imgsz": "64"},
    "steps": {"steps": ["a", identity(Write("y"))]},
    "no steps": {"steps": []},
    "more": {"command": "x"},
    "hash": {"sha256": 5},
}


@pytest.mark.parametrize("case", MANIFESTS)
def test_an_entry_that_says_something_else_is_set_aside_and_made_again(case, store, tmp_path):
    made = apply(Write("x"), ORIGINAL, store)
    manifest = made.path.parent / "variant.json"
    changed = {
        key: value.format(precious=tmp_path / "precious") if isinstance(value, str) else value
        for key, value in MANIFESTS[case].items()
    }
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | changed))
    again = apply(Write("x"), ORIGINAL, store)
    assert (again, again.path.read_text(), calls) == (made, "x", ["x", "x"])
    assert [path.name for path in store.glob("*.damaged")] == [f"{made.key}-1.damaged"]
    assert untouched(tmp_path)


@pytest.mark.parametrize("text", [DEEP, "null", "[]", '{"layers": 5}', '{"layers": [{"name": 1}]}', "\xff"])
@pytest.mark.parametrize("name", ["variant.json", "report.json"])
def test_a_manifest_or_report_that_is_none_is_made_again(name, text, store):
    made = apply(Write("x"), ORIGINAL, store)
    (made.path.parent / name).write_text(text)
    again = apply(Write("x"), ORIGINAL, store)
    assert (calls, report_of(again)) == (["x", "x"], Reestimated(1, 1.0))


@pytest.mark.parametrize("linked", ["entry", "model", "variant.json", "report.json"])
def test_nothing_in_an_entry_is_read_through_a_link(linked, store, tmp_path):
    made = apply(Write("x"), ORIGINAL, store)
    place = made.path.parent if linked == "entry" else made.path.parent / linked
    place.rename(tmp_path / "elsewhere")
    place.symlink_to(tmp_path / "elsewhere")
    assert apply(Write("x"), ORIGINAL, store) == made
    assert calls == ["x", "x"] and not made.path.parent.is_symlink() and (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize("planted", ["model", "report.json", "variant.json", "folder", "itself", "second name", "file"])
def test_what_was_planted_in_half_made_work_is_not_written_through(planted, store, tmp_path):
    partial = store / f"{ORIGINAL.after(identity(Write('x'))).key}.partial"
    if planted == "itself":
        partial.symlink_to(tmp_path / "folder")
    elif planted == "file":
        partial.write_text("mine")
    else:
        partial.mkdir()
        if planted == "folder":
            (partial / "train").symlink_to(tmp_path / "folder")
        elif planted == "second name":
            os.link(tmp_path / "precious", partial / "model")
        else:
            (partial / planted).symlink_to(tmp_path / "precious")
    assert apply(Write("x"), ORIGINAL, store).path.read_text() == "x"
    assert untouched(tmp_path)
    assert [path.name for path in store.glob("*.damaged")] == [f"{partial.name}-1.damaged"]


def test_half_made_work_of_ours_is_gone_on_with(store):
    partial = store / f"{ORIGINAL.after(identity(Write('x'))).key}.partial"
    (partial / "train" / "weights").mkdir(parents=True)
    (partial / "train" / "weights" / "state.pt").write_text("half")
    made = apply(Write("x"), ORIGINAL, store)
    assert (made.path.parent / "train" / "weights" / "state.pt").read_text() == "half"


@pytest.mark.parametrize("linked", [".accuracy.json", ".detections.jsonl", ".detections.partial"])
def test_a_validation_is_neither_read_nor_written_through_a_link(linked, store, tmp_path):
    seen = Accuracy({"mAP50-95": 0.5, "mAP50": 0.6}, 1, {"a": 0.5}, {"a": 1})

    def validate(keep):
        calls.append("validated")
        keep(Detections(0, (), ()))
        return seen

    kept = validation.validate_once(store, ("x",), validate)
    file = store / f"{kept.key}{linked}"
    file.unlink(missing_ok=True)
    file.symlink_to(tmp_path / "precious")
    again = validation.validate_once(store, ("x",), validate)
    assert (again.accuracy, list(again.detections())) == (seen, [Detections(0, (), ())])
    assert untouched(tmp_path)
    for text in (DEEP, "null", '{"metrics": {}, "images": 1, "classes": {}}'):
        (store / f"{kept.key}.accuracy.json").write_text(text)
        assert validation.validate_once(store, ("x",), validate).accuracy == seen


@pytest.mark.parametrize("target", ["precious", "nothing", "folder"])
def test_a_lock_that_is_a_link_is_one_sentence(target, store, tmp_path):
    (store / "name.lock").symlink_to(tmp_path / target)
    with (
        pytest.raises(InputError, match=like("is a link or not a file ... delete it")),
        held(store, "name"),
    ):
        pass
    assert untouched(tmp_path) and not (tmp_path / "nothing").exists()


def test_the_digits_are_not_composed_through_a_link(store, tmp_path):
    folder = store / f"digits-v{digits.VERSION}-2-1-1"
    (store / f"{folder.name}.partial").symlink_to(tmp_path / "folder")
    assert digits.compose(store, 2, 1).is_file()
    assert untouched(tmp_path)
    folder.rename(tmp_path / "elsewhere")
    folder.symlink_to(tmp_path / "folder")
    assert digits.compose(store, 2, 1).is_file() and not folder.is_symlink()
    assert untouched(tmp_path)


def command(monkeypatch, capsys, store: Path, *words: str) -> tuple[int, str]:
    monkeypatch.setattr(sys, "argv", ["store", "--store", str(store), "--runs", str(store.parent / "runs"), *words])
    code = 0
    try:
        with one_sentence():
            store_command.main()
    except SystemExit as stop:
        code = stop.code
    return code, "".join(capsys.readouterr())


JSON = [DEEP, "null", "[]", "5", '{"steps": []}', '{"steps": 5}', '{"steps": [null]}', '{"steps": {}}', "\xff", ""]


@pytest.mark.parametrize("text", JSON)
@pytest.mark.parametrize("name", ["variant.json", ".optimize.json", "report.json"])
def test_the_store_command_survives_any_manifest_and_deletes_through_no_link(
    name, text, store, tmp_path, monkeypatch, capsys
):
    made = apply(Write("[red]x"), ORIGINAL, store)
    (made.path.parent / name).write_text(text)
    (made.path.parent / "link").symlink_to(tmp_path / "folder")
    (store / "fedcba9876543210.partial").mkdir()
    (store / "fedcba9876543210.partial" / "link").symlink_to(tmp_path / "folder")
    (store / "fedcba9876543211").symlink_to(tmp_path / "folder")
    (store / "fedcba9876543211.lock").symlink_to(tmp_path / "precious")
    os.utime(made.path.parent, (1, 9e9))
    (tmp_path / "runs" / "0").mkdir(parents=True)
    (tmp_path / "runs" / "0" / "uses.txt").write_bytes(b"\xff\xfe../../precious\n")
    code, out = command(monkeypatch, capsys, store)
    assert code == 0 and "Traceback" not in out, out
    code, out = command(monkeypatch, capsys, store, "--clear")
    assert code == 0 and "Traceback" not in out, out
    assert untouched(tmp_path) and made.path.exists()


def test_folders_too_deep_to_be_ours_are_left_and_end_nothing(store, tmp_path, monkeypatch, capsys):
    place = store / "fedcba9876543210.partial"
    place.mkdir()
    before = os.getcwd()
    os.chdir(place)
    for _ in range(1200):
        os.mkdir("a")
        os.chdir("a")
    os.chdir(before)
    (tmp_path / "runs" / "0").mkdir(parents=True)
    (tmp_path / "runs" / "0" / "uses.txt").write_text("")
    for words in ((), ("--clear",)):
        code, out = command(monkeypatch, capsys, store, *words)
        assert code == 0, out
    assert place.exists()
    key = ORIGINAL.after(identity(Write("x"))).key
    place.rename(store / f"{key}.partial")
    assert apply(Write("x"), ORIGINAL, store).path.read_text() == "x"
    os.system(f"rm -rf '{store}'")  # what pytest would do one folder in another
