"""What others may leave on a shared host, or in the folder where a command is given, neither runs nor blocks."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from helpers import ROOT
from helpers.commands import command, python_path
from helpers.messages import is_error, like, says
from optimize.errors import InputError
from optimize.host import quiet
from optimize.host.process import quoted

QUICK = "rounds=12", "threads=1", "rivals=none", "quant=none", "runtime=[onnxruntime]", "prune=0"


def link_to_nothing(path: Path) -> None:
    path.symlink_to(path.with_name("missing"))


def link_to_mine(path: Path) -> None:
    path.with_name("mine.txt").write_text("mine")
    path.symlink_to(path.with_name("mine.txt"))


PLANTED = {"link to nothing": link_to_nothing, "link to a file": link_to_mine, "folder": Path.mkdir}
if hasattr(os, "mkfifo"):
    PLANTED["pipe"] = os.mkfifo


@pytest.fixture
def locks(tmp_path, monkeypatch) -> Path:
    (tmp_path / "locks").mkdir()
    monkeypatch.setattr(quiet, "FOLDER", tmp_path / "locks")
    return tmp_path / "locks"


@pytest.mark.parametrize("kind", PLANTED)
def test_what_is_no_lock_is_one_sentence_before_anything_is_written(
    kind, locks, dataset, checkpoint, monkeypatch, capsys
):
    PLANTED[kind](locks / quiet.GATE)
    before = sorted(path.name for path in locks.parent.rglob("*"))
    monkeypatch.chdir(locks.parent)
    code, out, err = command(monkeypatch, capsys, f"model={checkpoint}", f"data={dataset}", *QUICK)
    assert (code, out) == (1, "")
    assert is_error(err.splitlines()[-1], f"{locks / quiet.GATE} ... lock ... delete it ... YOLO_OPTIMIZE_LOCKS")
    assert sorted(path.name for path in locks.parent.rglob("*")) == before
    if kind == "link to a file":
        assert (locks / "mine.txt").read_text() == "mine"


@pytest.mark.parametrize("kind", PLANTED)
def test_what_is_no_lock_of_a_worker_holds_up_no_timing(kind, locks):
    PLANTED[kind](locks / quiet.WORKERS.replace("*", "planted"))
    with quiet.working(), quiet.timing():
        pass
    assert os.path.lexists(locks / quiet.WORKERS.replace("*", "planted"))


def test_another_place_for_locks_can_be_named(tmp_path, monkeypatch):
    monkeypatch.setenv(quiet.PLACE, str(tmp_path))
    assert quiet._shared_folder() == tmp_path
    monkeypatch.setattr(quiet, "FOLDER", tmp_path / "missing")
    with pytest.raises(InputError, match=like("YOLO_OPTIMIZE_LOCKS= ... missing is not a folder")):
        quiet.check()


@pytest.mark.command
def test_the_folder_where_a_command_is_given_is_not_imported_from(tmp_path):
    """`python -m` puts it first, before the libraries; what a process starts would do so too."""
    for name in ("hydra", "omegaconf", "torch", "ultralytics", "pickle", "struct", "multiprocessing", "hydra_plugins"):
        (tmp_path / f"{name}.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'a').write({name!r})\n")
    env = os.environ | {"PYTHONPATH": python_path(ROOT)}
    for words in (["optimize", "--help"], ["optimize.flops", "model=yolo11n.yaml"], ["optimize.store", "--store", "a"]):
        done = subprocess.run([sys.executable, "-m", *words], cwd=tmp_path, env=env, capture_output=True, text=True)
        assert "Traceback" not in done.stderr and (done.stdout or done.stderr), quoted(words)
    child = (
        "import os, optimize.cli; optimize.cli.leave_current_folder(); "
        "from optimize.host.process import run_in_new_process; run_in_new_process(os.getpid)"
    )
    subprocess.run([sys.executable, "-P", "-c", child], cwd=tmp_path, env=env, check=True)
    assert not (tmp_path / "ran").exists()


@pytest.mark.command
def test_a_users_own_program_keeps_its_path(tmp_path):
    (tmp_path / "mine.py").write_text(
        "import sys, optimize\nassert sys.path[0] == sys.argv[1], sys.path\nimport other\n"
    )
    (tmp_path / "other.py").write_text("")
    env = os.environ | {"PYTHONPATH": python_path(ROOT)}
    env.pop("PYTHONSAFEPATH", None)
    subprocess.run([sys.executable, "-m", "mine", str(tmp_path)], cwd=tmp_path, env=env, check=True)


@pytest.mark.command
def test_a_class_of_another_package_is_not_imported_without_trust(tmp_path, dataset, checkpoint, monkeypatch, capsys):
    (tmp_path / "theirs.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w').close()\nclass Own: ...\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    words = f"model={checkpoint}", f"data={dataset}", *QUICK, "quant._target_=theirs.Own"
    code, _, err = command(monkeypatch, capsys, *words)
    assert code == 1
    assert is_error(err.splitlines()[-1], "quant._target_=theirs.Own ... any code ... leave it out ... trust=true")
    assert not (tmp_path / "ran").exists() and not (tmp_path / "runs").exists()
    code, _, err = command(monkeypatch, capsys, *words, "trust=true")
    assert (tmp_path / "ran").exists()
    assert code == 1 and says(err, "quant._target_=theirs.Own ... not a dataclass")


@pytest.mark.parametrize("target", ["optimize.missing.Own", "optimize.quant.int8.missing", "optimize.quant.int8"])
def test_a_class_that_is_none_is_a_sentence(target, tmp_path, dataset, checkpoint, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    words = f"model={checkpoint}", f"data={dataset}", *QUICK, f"quant._target_={target}"
    code, _, err = command(monkeypatch, capsys, *words)
    assert code == 1 and says(err, f"error: quant._target_={target} can't be imported")
