"""What the store holds is told to the byte, and only what no run needs is cleared away."""

import json
import os
import shutil
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path

import pytest
from filelock import FileLock, Timeout

from helpers import ROOT
from helpers.commands import command, python_path
from helpers.messages import is_error, says
from optimize.cli import one_sentence
from optimize.input_size import square
from optimize.store import __main__ as store_command
from optimize.store import contents as contents_module
from optimize.store.apply import apply
from optimize.store.contents import clear, contents, size
from optimize.store.held import held, noting
from optimize.variant import Variant

ORIGINAL = Variant(Path("a.pt"), "torch", "fp32", square(64), steps=("a",))
KEY = "0123456789abcdef"


@dataclass(frozen=True)
class Write:
    text: str
    seconds: float = 0.0

    def __call__(self, variant: Variant, folder: Path) -> Variant:
        target = folder / "model"
        target.write_text(self.text)
        time.sleep(self.seconds)
        return replace(variant, path=target, tags=(*variant.tags, "written"))


@pytest.fixture
def runs(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs" / "store").mkdir(parents=True)
    return tmp_path / "runs"


@pytest.fixture
def store(runs) -> Path:
    return runs / "store"


def run(folder: Path, *texts: str) -> Variant:
    """A run whose stages write `texts`, one after the other."""
    folder.mkdir(parents=True, exist_ok=True)
    made = ORIGINAL
    with noting(folder):
        for text in texts:
            made = apply(Write(text), made, Path("runs/store").absolute())
    return made


def said(monkeypatch, capsys, *words: str) -> tuple[int, str]:
    """Exit code and all that `python -m optimize.store WORDS` prints."""
    monkeypatch.setattr(sys, "argv", ["store", *words])
    code = 0
    try:
        with one_sentence():
            store_command.main()
    except SystemExit as stop:
        code = stop.code
    return code, "".join(capsys.readouterr())


def files(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_what_a_run_noted_stays_and_what_only_a_deleted_run_used_goes(runs, store):
    run(runs / "sweep" / "0", "a", "b")
    before = files(store)
    run(runs / "1", "a", "b", "c")
    run(runs / "2", "d")
    shutil.rmtree(runs / "1")
    shutil.rmtree(runs / "2")
    all_of_it = size(store)
    gone = clear(store, [runs])
    assert files(store) == {name: content for name, content in before.items() if not name.endswith(".lock")}
    assert sorted(thing.kind for thing in gone) == ["Write", "Write"] + 4 * ["lock"]
    assert sum(thing.size for thing in gone) == all_of_it - size(store) > 0
    assert clear(store, [runs]) == []


def test_the_table_adds_up_to_the_byte(runs, store, monkeypatch, capsys):
    made = run(runs / "0", "a")
    (store / f"{KEY}.accuracy.json").write_bytes(bytes(1_000_000))
    (store / f"{KEY}.detections.jsonl").write_bytes(bytes(2_000_000))
    (store / "digits-v1-8-4" / "images").mkdir(parents=True)
    (store / "digits-v1-8-4" / "images" / "0.jpg").write_bytes(bytes(4_000_000))
    (store / "tensorrt_10.3_GPU.timings").write_bytes(bytes(800_000))
    (store / "tensorrt_10.3_GPU.timings.lock").touch()
    (store / f"{KEY}.partial").mkdir()
    (store / f"{KEY}.partial" / "last.pt").write_bytes(bytes(500_000))
    (store / "notes.txt").write_bytes(bytes(300_000))
    (store / "fedcba9876543210").mkdir()
    things = contents(store, [runs])
    assert sum(thing.size for thing in things) == size(store) == sum(map(len, files(store).values()))
    kinds = {thing.kind: thing.size for thing in things if thing.kind != "validation"}
    written = sum(map(len, files(made.path.parent).values()))
    assert kinds == {
        "Write": written,
        "data set": 4_000_000,
        "TensorRT timings": 800_000,
        "half-made": 500_000,
        "not ours": 300_000,
        "damaged": 0,
        "lock": 0,
    }
    _, out = said(monkeypatch, capsys)
    rows = [[cell.strip() for cell in line.split("│")[1:-2]] for line in out.splitlines() if line.startswith("│")]
    assert rows == [
        ["data set", "1", "4.0", "0.0", "4.0"],
        ["validation", "1", "3.0", "0.0", "3.0"],
        ["TensorRT timings", "1", "0.8", "0.0", "0.8"],
        ["half-made", "1", "0.5", "0.0", "0.5"],
        ["not ours", "1", "0.3", "0.3", "0.0"],
        ["Write", "1", "0.0", "0.0", "0.0"],
        ["damaged", "1", "0.0", "0.0", "0.0"],
        ["lock", "2", "0.0", "0.0", "0.0"],
        ["all", "9", "8.6", "0.3", "8.3"],
    ]
    assert says(out, "Not used by any of the runs (1) ... 8.3 MB")


def test_the_oldest_use_is_when_a_run_last_noted_it(runs, store):
    made = run(runs / "0", "a").path.parent
    os.utime(made, (1e9, 1e9))
    os.utime(runs / "0" / "uses.txt", (1.5e9, 1.5e9))
    assert next(thing for thing in contents(store, [runs]) if thing.path == made).used == 1.5e9
    shutil.rmtree(runs / "0")
    assert next(thing for thing in contents(store, [runs]) if thing.path == made).used == 1e9


WORK = """
import sys
from pathlib import Path
from optimize.store.apply import apply
from optimize.store.held import noting
from test_store import ORIGINAL, Write
with noting(Path(sys.argv[1])):
    made = apply(Write("finished"), ORIGINAL, Path(sys.argv[2]))
    apply(Write("half", seconds=600), made, Path(sys.argv[2]))
"""


def half_made(store: Path) -> Path | None:
    for model in store.glob("*.partial/model"):
        with suppress(FileNotFoundError):  # that of the first work has just got its name
            if model.read_text() == "half":
                return model
    return None


@pytest.mark.command
def test_work_that_goes_on_is_left_alone_and_cleared_once_it_was_killed(runs, store):
    (runs / "0").mkdir()
    run(runs / "1", "other")
    path = python_path(Path(__file__).parent, ROOT / "tests", ROOT)
    words = [sys.executable, "-c", WORK, runs / "0", store]
    work = subprocess.Popen(words, env=os.environ | {"PYTHONPATH": path})
    try:
        deadline = time.monotonic() + 60
        while not (half := half_made(store)):
            assert work.poll() is None and time.monotonic() < deadline
            time.sleep(0.05)
        shutil.move(runs / "0", runs.parent / "elsewhere")  # so that nothing but the lock tells of it
        held_now = {thing.path.suffix for thing in contents(store, [runs]) if thing.needed}
        assert held_now == {"", ".lock", ".partial"}
        clear(store, [runs])
        assert half.read_text() == "half" and half.parent.with_suffix(".lock").exists()
        shutil.move(runs.parent / "elsewhere", runs / "0")
    finally:
        work.kill()
        work.wait()
    run(runs / "0", "finished")
    before = {path for path in store.iterdir() if path.suffix == ""}
    assert [thing.kind for thing in clear(store, [runs]) if thing.kind != "lock"] == ["half-made"]
    assert set(store.iterdir()) == before


def test_a_killed_run_keeps_what_it_had_finished(runs, store, monkeypatch):
    monkeypatch.setattr(time, "sleep", interrupt)
    with pytest.raises(KeyboardInterrupt):
        run(runs / "0", "a")
    monkeypatch.undo()
    monkeypatch.chdir(runs.parent)
    run(runs / "0", "b")
    assert len(list(store.glob("*.partial"))) == 1
    clear(store, [runs])
    assert [file.read_text() for file in store.glob("*/model")] == ["b"]


def interrupt(*args, **kwargs):
    raise KeyboardInterrupt


def test_what_a_run_finds_while_the_store_is_cleared_stays(runs, store, monkeypatch):
    run(runs / "0", "a")
    shutil.rmtree(runs / "0")

    def listed_then_found(*args):
        found = contents(*args)
        run(runs / "1", "a")
        return found

    monkeypatch.setattr("optimize.store.contents.contents", listed_then_found)
    clear(store, [runs])
    assert [file.read_text() for file in store.glob("*/model")] == ["a"]


def test_work_that_begins_while_the_store_is_cleared_is_left_alone(runs, store, monkeypatch):
    run(runs / "0", "a")
    shutil.rmtree(runs / "0")
    (lock,) = store.glob("*.lock")
    before = files(store)
    taken = FileLock(lock)

    def listed_then_taken(*args):
        found = contents(*args)
        taken.acquire()
        return found

    monkeypatch.setattr("optimize.store.contents.contents", listed_then_taken)
    assert clear(store, [runs]) == []
    assert files(store) == before


def test_who_had_opened_a_lock_that_was_then_cleared_takes_a_new_one(runs, store, monkeypatch):
    run(runs / "0", "a")
    opened = os.open

    def opened_and_cleared(path, *args):
        file = opened(path, *args)
        monkeypatch.setattr(os, "open", opened)
        assert [thing.name for thing in clear(store, [runs]) if thing.path == Path(path)] == [KEY]
        return file

    monkeypatch.setattr(os, "open", opened_and_cleared)
    with held(store, KEY), pytest.raises(Timeout), FileLock(store / f"{KEY}.lock", blocking=False):
        pass


def count(store: Path, counter: Path) -> None:
    for _ in range(40):
        with held(store, KEY):
            before = int(counter.read_text())
            time.sleep(0.001)
            counter.write_text(str(before + 1))


@pytest.mark.command
def test_a_lock_is_cleared_while_others_wait_for_it_and_never_held_twice(runs, store, tmp_path):
    run(runs / "0", "a")
    counter, cleared = tmp_path / "counter", 0
    counter.write_text("0")
    with ProcessPoolExecutor(3, mp_context=get_context("spawn")) as pool:
        work = [pool.submit(count, store, counter) for _ in range(3)]
        while not all(job.done() for job in work):
            cleared += sum(thing.name == KEY for thing in clear(store, [runs]))
        for job in work:
            job.result()
    assert int(counter.read_text()) == 120
    assert cleared > 0


def test_a_clearing_that_is_killed_leaves_no_half_variant(runs, store, monkeypatch):
    run(runs / "0", "a")
    run(runs / "1", "b")
    shutil.rmtree(runs / "1")
    with monkeypatch.context() as killed, pytest.raises(KeyboardInterrupt):
        killed.setattr(shutil, "rmtree", interrupt)
        clear(store, [runs])
    assert [file.read_text() for file in store.glob("????????????????/model")] == ["a"]
    assert [file.read_text() for file in store.glob("*.cleared/model")] == ["b"]
    clear(store, [runs])
    assert not list(store.glob("*.cleared"))


def test_nothing_outside_the_store_and_nothing_that_is_not_ours_is_deleted(runs, store, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").write_text("precious")
    run(runs / "0", "a")
    (store / KEY).symlink_to(outside)
    (store / f"{KEY}.accuracy.json").symlink_to(outside / "precious")
    half = store / "fedcba9876543210.partial"
    half.mkdir()
    (half / "data").symlink_to(outside)
    (half / "file").symlink_to(outside / "precious")
    for name in ("poetry.lock", "mine.partial", f"{KEY}.zip", KEY.upper(), f"{KEY}0"):
        (store / name).write_text("mine")
    moved = tmp_path / "big disk"
    store.rename(moved)
    store.symlink_to(moved)  # as who moves a store to another disk does
    assert sum(thing.size for thing in contents(store, [runs])) == size(store)
    (lock,) = store.glob("????????????????.lock")
    assert {thing.path.name for thing in clear(store, [runs])} == {half.name, lock.name}
    assert files(outside) == {"precious": b"precious"}
    assert not list(store.glob("fedc*"))
    mine = {"poetry.lock", "mine.partial", f"{KEY}.zip", KEY.upper(), f"{KEY}0"}
    assert mine | {KEY, f"{KEY}.accuracy.json"} < {path.name for path in store.iterdir()}


def test_a_run_counts_where_a_link_leads_to_it(runs, store, tmp_path):
    run(runs / "0", "a")
    (runs / "0").rename(tmp_path / "archive")
    (runs / "old").symlink_to(tmp_path / "archive")
    (tmp_path / "archive" / "loop").symlink_to(runs)
    clear(store, [runs])
    assert len(list(store.glob("*/model"))) == 1


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--clear"], "no run lies below runs ... runs/store ... give --runs"),
        (["--store", "x"], "--store x does not exist ... `store`"),
        (["--clear", "--runs", "runs", "x"], "--runs x does not exist ... folders that hold the runs"),
    ],
)
def test_where_clearing_would_be_a_guess_nothing_is_deleted(runs, store, monkeypatch, capsys, words, sentence):
    apply(Write("a"), ORIGINAL, store)
    before = files(store)
    capsys.readouterr()  # what was logged of the making, where an earlier test left the log on
    code, out = said(monkeypatch, capsys, *words)
    assert code == 1 and is_error(out, sentence)
    assert files(store) == before


@pytest.mark.parametrize("left", ["results.json", "optimize.log"])
def test_a_run_of_an_older_version_forbids_clearing_until_told_otherwise(runs, store, monkeypatch, capsys, left):
    run(runs / "0", "a")
    (runs / "old").mkdir()
    (runs / "old" / left).write_text(json.dumps({"schema": 2}))
    apply(Write("old"), ORIGINAL, store)
    before = files(store)
    assert says(said(monkeypatch, capsys)[1], "runs/old doesn't say what it uses ... older version")
    code, out = said(monkeypatch, capsys, "--clear")
    assert code == 1 and is_error(out, "runs/old doesn't say what it uses ... older version ... nothing was deleted")
    assert files(store) == before
    code, out = said(monkeypatch, capsys, "--clear", "--forget-old")
    assert code == 0 and says(out, "Deleted 0.0 MB in 1 files ... 2 locks ... runs/store holds 0.0 MB")
    assert [file.read_text() for file in store.glob("*/model")] == ["a"]


@pytest.mark.command
def test_after_clearing_a_run_finds_everything_again(runs, store, monkeypatch, capsys, dataset, checkpoint):
    given = [f"model={checkpoint}", f"data={dataset}", "rounds=12", "threads=1", "epochs=0", "rivals=none"]
    given += ["prune=0.3", "pruner=l2", "quant=none", "runtime=[onnxruntime]"]

    def optimize(folder: str) -> tuple[list[dict], str]:
        code, _, err = command(monkeypatch, capsys, *given, f"hydra.run.dir=runs/{folder}")
        assert code == 0, err
        rows = json.loads((runs / folder / "results.json").read_text())["results"]
        figures = [{key: row[key] for key in ("name", "sha256", "accuracy")} for row in rows]
        return figures, (runs / folder / "optimize.log").read_text()

    first, told = optimize("first")
    assert told.count(": made ") == 4  # pruned, its BatchNorm, two exports
    assert f"runs/store holds {size(store) / 1e6:.1f} MB" in told
    kept = {name: content for name, content in files(store).items() if not name.endswith(".lock")}
    run(runs / "other", "a")
    shutil.rmtree(runs / "other")
    code, out = said(monkeypatch, capsys, "--clear")
    assert code == 0 and says(out, "Deleted 0.0 MB in 1 files")
    assert files(store) == kept
    monkeypatch.setattr("optimize.judge.validate", None)  # nothing may be validated again
    again, told = optimize("again")
    assert ": made " not in told and told.count(" in the store") == 4
    assert again == first


@pytest.mark.parametrize(
    ("step", "stage"),
    [
        ("Prune(settings=Pruning(share=0.3, criterion=L2()))", "Prune"),
        ("OpenVino().export", "OpenVino.export"),
        ("my.package.Int4(bits=4)", "Int4"),
        ("<bound method OpenVino.export of OpenVino()>", "OpenVino.export"),
        ("[red]x", ""),
    ],
)
def test_a_stage_is_named_by_its_class_and_method(step, stage):
    assert contents_module._stage(step) == stage
