"""What runs write keeps Windows' rules: for names, for paths as text, and for files that somebody has open.

The file system's rules are those of standins/windows_files.py, in this process; `make test-standin` has them in all.
"""

import json
import mmap
import os
import re
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from helpers import reports, sweeps
from helpers.bundles import bundled, one_row
from optimize.input_size import square
from optimize.measure import validation
from optimize.measure.accuracy import Accuracy
from optimize.runtime.onnxruntime import OnnxRuntime
from optimize.store import contents
from optimize.store.apply import MANIFEST, apply
from optimize.store.held import held
from optimize.store.manifest import NAME
from optimize.sweep import job
from optimize.sweep.summary import rows
from optimize.sweep.summary.artefacts import hand_out, places
from optimize.sweep.summary.summary import summarize
from optimize.variant import Variant

RESERVED = {"CON", "PRN", "AUX", "NUL", *(f"{kind}{i}" for kind in ("COM", "LPT") for i in range(10))}


@pytest.fixture
def ruled(monkeypatch):
    """The file system keeps Windows' rules."""
    if sys.platform != "linux":
        pytest.skip("the stand-in asks Linux what this process has open")
    monkeypatch.syspath_prepend(str(Path(__file__).parent / "standins"))
    import windows_files

    before = {name: getattr(os, name) for name in windows_files.RULED}
    windows_files.install()
    yield
    for name, function in before.items():
        setattr(os, name, function)


def test_the_stand_in_refuses_what_windows_refuses(ruled, tmp_path):
    one, other, folder = tmp_path / "one", tmp_path / "other", tmp_path / "folder"
    folder.mkdir()
    for path in (one, other, folder / "mapped"):
        path.write_text("text", encoding="utf-8")
    with pytest.raises(FileExistsError):
        one.rename(other)
    with one.open("rb"):
        for refused in (lambda: one.unlink(), lambda: one.rename(tmp_path / "new"), lambda: other.replace(one)):
            with pytest.raises(PermissionError):
                refused()
    with (folder / "mapped").open("r+b") as file:
        memory = mmap.mmap(file.fileno(), 0)
    for refused in (lambda: folder.rename(tmp_path / "new"), lambda: shutil.rmtree(folder)):
        with pytest.raises(PermissionError):
            refused()
    memory.close()
    one.replace(other)
    shutil.rmtree(folder)
    assert [path.name for path in tmp_path.iterdir()] == ["other"]


class Write:
    """A stage that writes a file, and says so in its repr."""

    def __repr__(self) -> str:
        return "Write()"

    def __call__(self, variant: Variant, folder: Path) -> Variant:
        (folder / "inside").mkdir(exist_ok=True)
        (folder / "inside" / "model").write_text("model", encoding="utf-8")
        return replace(variant, path=folder / "inside" / "model", tags=("written",))


def accuracy() -> Accuracy:
    return reports.report().results[0].accuracy


def test_the_store_makes_finds_and_clears_what_it_has(ruled, tmp_path):
    store = tmp_path / "store"
    store.mkdir()
    made = apply(Write(), Variant(Path("a.pt"), "torch", "fp32", square(64), steps=("a",)), store)
    assert apply(Write(), Variant(Path("a.pt"), "torch", "fp32", square(64), steps=("a",)), store) == made
    manifest = json.loads((made.path.parents[1] / MANIFEST).read_text(encoding="utf-8"))
    assert manifest["path"] == "inside/model", "the same on every system"
    for _ in range(2):
        validation.validate_once(store, ("a",), lambda found: replace(accuracy(), images=0))
    assert sorted(path.suffix for path in store.iterdir() if path.suffix != ".lock") == ["", ".json", ".jsonl"]
    contents.clear(store, [store])
    assert list(store.iterdir()) == []


def test_a_lock_that_windows_keeps_does_not_keep_the_rest_from_being_cleared(tmp_path, monkeypatch):
    store, unlink = tmp_path / "store", Path.unlink
    contents.begin_store(store)
    with held(store, "0123456789abcdef"):
        pass
    (store / "0123456789abcdef.accuracy.json").write_text("{}", encoding="utf-8")

    def refused(path: Path, missing_ok: bool = False) -> None:
        if path.suffix == ".lock":
            raise PermissionError(13, "The process cannot access the file", str(path))
        unlink(path, missing_ok)

    monkeypatch.setattr(Path, "unlink", refused)
    contents.clear(store, [tmp_path])
    assert sorted(path.name for path in store.iterdir()) == [NAME, "0123456789abcdef.lock"]


def test_what_others_read_meanwhile_is_replaced(ruled, tmp_path, four, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for state in (job.RUNNING, job.BUILT):
        job.write(job.Job(0, ("prune=0.3",), state, "here", 1.0), tmp_path)
    assert job.read(tmp_path).state == job.BUILT
    worth = summarize(four).worth
    for row in worth:
        row.result.variant.path.parent.mkdir(parents=True, exist_ok=True)
        row.result.variant.path.write_text(row.called, encoding="utf-8")
    for _ in range(2):
        hand_out(worth, four.folder)
    copies = [path for path in (four.folder / "artefacts").rglob("*") if path.is_file()]
    assert len(copies) == len(places(worth)) > 1


def test_a_bundle_takes_the_place_of_the_one_before(ruled, tmp_path):
    (tmp_path / "model.onnx").write_bytes(b"model")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(OnnxRuntime, "metadata", lambda self, path: {"names": {0: "a"}, "end2end": False})
        for _ in range(2):
            made = bundled(one_row(tmp_path / "model.onnx", "onnxruntime"), tmp_path)
    assert made.is_dir() and sorted(path.name for path in tmp_path.iterdir()) == [NAME, "bundle", "model.onnx"]


@pytest.mark.parametrize(
    ("values", "short"),
    [
        ({"/a/b/x.pt", "/a/c/x.pt"}, {"/a/b/x.pt": "b/x.pt", "/a/c/x.pt": "c/x.pt"}),
        ({"C:\\a\\b\\x.pt", "C:\\a\\c\\x.pt"}, {"C:\\a\\b\\x.pt": "b/x.pt", "C:\\a\\c\\x.pt": "c/x.pt"}),
        ({"C:\\a\\x.pt", "D:\\a\\x.pt"}, {"C:\\a\\x.pt": "C:/a/x.pt", "D:\\a\\x.pt": "D:/a/x.pt"}),
        ({"C:/a/x.pt", "C:\\a\\y.pt"}, {"C:/a/x.pt": "x.pt", "C:\\a\\y.pt": "y.pt"}),
        ({"C:\\a\\x.pt", "digits"}, {"C:\\a\\x.pt": "C:/a/x.pt", "digits": "digits"}),
        ({"/a/x.pt", "x.pt"}, {"/a/x.pt": "/a/x.pt", "x.pt": "x.pt"}),
    ],
)
def test_paths_of_every_system_are_told_without_what_they_share(values, short):
    assert rows._short(values) == short


def test_no_file_that_is_handed_out_has_a_name_that_windows_forbids(tmp_path):
    overrides = 'prune=0.3 model=C:\\my\\best.pt data=a:b*c?.yaml pruner.protect=[model.22.*] name=a|b<c>"d".'
    jobs = {0: (overrides, sweeps.made(0.3, "int8", 0.01)), 1: ("prune=0.1 model=b.pt", sweeps.made(0.1, "int8"))}
    sweep = sweeps.put(tmp_path / "s", jobs, 2)
    names = [part for place in places(summarize(sweep).worth).values() for part in place.parts]
    assert len(names) > 2
    for name in names:
        assert not re.search(r'[<>:"/\\|?*\x00-\x1f]', name) and not name.endswith((".", " ")), name
        assert name.partition(".")[0].upper() not in RESERVED
