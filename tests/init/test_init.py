"""`python -m optimize.init`: answers are checked at once, and the yaml and the commands do what was answered."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from omegaconf import open_dict, read_write

from helpers import ROOT
from helpers.commands import command, python_path
from helpers.messages import is_error, says
from optimize.compose import composed
from optimize.config import plain
from optimize.errors import InputError
from optimize.forecast import load_of, machine
from optimize.init import __main__ as init
from optimize.init import budget, checks, experiment
from optimize.literal import hydra_word
from optimize.sentences import one_sentence
from optimize.store import durations
from optimize.store.contents import begin_store

QUICK = ("rounds=12", "threads=1", "rivals=none", "quant=none", "hydra.run.dir=run")
FILE = Path("mine/experiment/camera.yaml")


class Terminal:
    def isatty(self) -> bool:
        return True


@pytest.fixture
def answer(tmp_path, monkeypatch, capsys):
    """Exit code, stdout and stderr, in one line each of one space, where these answers are typed in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["init"])
    monkeypatch.setattr(sys, "stdin", Terminal())

    def answered(*answers: str | type[BaseException]) -> tuple[int, str, str]:
        left = iter(answers)

        def typed(_: str = "") -> str:
            text = next(left, EOFError)
            if isinstance(text, str):
                return text
            raise text

        monkeypatch.setattr("builtins.input", typed)
        code = 0
        try:
            with one_sentence():
                init.main()
        except SystemExit as stop:
            code = stop.code
        assert not list(left), "it asked less than was answered"
        said = capsys.readouterr()
        return code, said.out, " ".join(said.err.split())

    return answered


def commands(out: str) -> list[list[str]]:
    """The words of each printed command after `python -m optimize`."""
    return [shlex.split(line)[3:] for line in out.splitlines() if line.startswith("    python -m optimize ")]


def settings(*given: str) -> dict:
    """What the words of a command line set, without Hydra's own."""
    config = composed([hydra_word(word) for word in given])
    with read_write(config), open_dict(config):
        del config["hydra"]
    settings: dict = plain(config, resolve=True)
    return settings


def of_file(file: Path) -> dict:
    return settings(f"hydra.searchpath=[file://{file.parent.parent.resolve()}]", f"experiment={file.stem}")


def test_wrong_answers_are_asked_again_and_the_yaml_sets_the_right_ones(answer, checkpoint, dataset):
    FILE.parent.mkdir(parents=True)
    FILE.write_text("mine")
    code, out, err = answer(
        *("absent.pt", str(checkpoint)),
        *("", "absent.yaml", str(dataset)),
        *("openvin", "onnxruntime, openvino"),
        *("fast", "-1", "20.5", "1"),
        *("soon", "0", "60"),
        *("a b", "search", "camera", "camera_2"),
    )
    assert code == 0, err
    for sentence in (
        "model=absent.pt does not exist ... give the path",
        "data is missing ... data.yaml",
        "data=absent.yaml can't be used",
        "openvin is neither a runtime nor a device ... onnxruntime ... raspberry-pi-5",
        "limits.latency_ms=fast is not allowed ... a number",
        "limits.latency_ms=-1 is not allowed ... more than 0",
        "soon is not allowed ... minutes",
        "0 is not allowed ... more than 0",
        "epochs=4, since no run ... has trained on this machine ... 5 min ... up to 3 times",
        "a b is not allowed ... letters",
        "search is an experiment that is shipped",
        "camera.yaml exists, and is not overwritten",
    ):
        assert says(err, sentence), sentence
    assert FILE.read_text() == "mine"
    made = of_file(FILE.with_stem("camera_2"))
    assert (made["model"], made["data"]) == (str(checkpoint), str(dataset))
    assert (made["prune"], made["epochs"], list(made["runtime"])) == (None, 4, ["onnxruntime", "openvino"])
    assert (made["limits"]["latency_ms"], made["limits"]["max_drop"]) == (20.5, 1)
    short, long = commands(out)
    assert short == ["--config-dir", str(Path("mine").resolve()), "experiment=camera_2"]
    assert settings(*long) == made


def test_a_device_gets_its_profile_and_a_bundle_and_no_limit_of_time(answer, checkpoint, dataset, tmp_path):
    (tmp_path / "best (1).pt").write_bytes(checkpoint.read_bytes())
    code, _, err = answer("best (1).pt", str(dataset), "raspberry-pi-5", "", "4", "")
    assert code == 0, err
    assert says(err, "prune=0, since ... a cut needs training")
    made = of_file(Path("mine/experiment/best_1_.yaml"))
    assert made["model"] == str(tmp_path / "best (1).pt"), "absolute, so that the command works from any folder"
    assert (made["device_profile"], made["bundle"]) == ("raspberry-pi-5", True)
    assert (made["prune"], made["epochs"], made["limits"]["latency_ms"]) == (0, 0, None)


def test_where_no_bundle_can_be_made_a_device_gets_none():
    assert checks.check_place_answer(checks.Model("a.pt", bundles=False), "raspberry-pi-5") == {
        "device_profile": "raspberry-pi-5"
    }


def test_a_runtime_that_cannot_be_used_here_is_refused(monkeypatch):
    monkeypatch.setattr(checks, "missing", lambda runtimes: {"openvino": "it is gone"})
    with pytest.raises(InputError, match="openvino can't be used on this machine: it is gone; give another"):
        checks.check_place_answer(checks.Model("a.pt", bundles=True), "onnxruntime,openvino")
    assert checks.usable_defaults() == ["onnxruntime", "tensorrt"]


@pytest.mark.parametrize("text", ["/a b/${c}.pt", "/'a', \"b\" #.pt", "/x: y=[z]\\${n}.pt", "/人.pt"])
def test_the_yaml_and_the_command_keep_every_character_of_a_path(text, tmp_path):
    keys = {"model": text, "data": "digits", "limits": {"max_drop": 1}}
    experiment.write(keys, tmp_path / "experiment/a.yaml")
    made = of_file(tmp_path / "experiment/a.yaml")
    assert made["model"] == text
    (plain_words,) = commands(f"    {experiment.plain_command(keys)}")
    assert settings(*plain_words) == made
    with pytest.raises(FileExistsError):
        experiment.write(keys, tmp_path / "experiment/a.yaml")


def test_the_time_of_earlier_runs_decides_how_long_is_trained(checkpoint, dataset, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    keys = {"model": str(checkpoint), "data": str(dataset), "runtime": ["onnxruntime"]}
    plan = checks.plan_of({**keys, "epochs": 10})
    begin_store(plan.store)
    stages = {"Finetune": durations.Spent(1, 600.0, 0), "Prune": durations.Spent(1, 120.0, 0)}
    line = durations.LINE.dump_json(durations.Durations(machine(plan), load_of(plan), stages))
    (plan.store / durations.NAME).write_bytes(line + b"\n")
    work, reason = budget.choose_work(10, keys, plan)
    assert work == {"prune": 0.3, "epochs": 8}, "ten minutes less two for the rest, at one minute an epoch"
    assert says(reason, "by 1 earlier runs ... an epoch takes about 1 min 00 s, all else 2 min 00 s and more")
    assert budget.choose_work(2, keys, plan)[0] == {"prune": 0, "epochs": 0}
    work, reason = budget.choose_work(1000, keys, plan)
    assert work["epochs"] == budget.MOST
    assert says(reason, "more than half of the original's training is not needed")


@pytest.mark.parametrize("stop", [EOFError, KeyboardInterrupt])
def test_a_stop_writes_nothing(stop, answer, checkpoint, tmp_path):
    code, out, err = answer(str(checkpoint), stop)
    assert (code, out, list(tmp_path.iterdir())) == (130, "", [])
    assert says(err, "stopped: no yaml was written.")


def test_without_a_terminal_it_is_one_sentence(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["init"])
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(SystemExit) as stop, one_sentence():
        init.main()
    assert stop.value.code == 1
    assert is_error(capsys.readouterr().err, "stdin is not a terminal ... model=best.pt data=my.yaml ... docs/setup.md")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.command
def test_the_printed_command_runs_from_another_folder(answer, checkpoint, dataset, tmp_path, monkeypatch, capsys):
    code, out, err = answer(str(checkpoint), str(dataset), "onnxruntime", "", "", "1", "camera")
    assert code == 0, err
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path / "other")
    code, out, err = command(monkeypatch, capsys, *commands(out)[0], *QUICK)
    assert code == 0, err
    assert out.splitlines()[-1] == str(tmp_path / "other/run")
    assert (tmp_path / "other/run/results.json").is_file()


@pytest.mark.command
def test_on_a_real_terminal_ctrl_d_ends_it(tmp_path):
    pty = pytest.importorskip("pty")
    ours, its = pty.openpty()
    os.write(ours, b"absent.pt\n\x04")
    done = subprocess.run(
        [sys.executable, "-m", "optimize.init"],
        cwd=tmp_path,
        stdin=its,
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": python_path(ROOT)},
    )
    os.close(ours)
    os.close(its)
    assert (done.returncode, done.stdout) == (130, "")
    assert says(done.stderr, "Model: a .pt file ... (digits):")
    assert says(done.stderr, "model=absent.pt does not exist")
    assert list(tmp_path.iterdir()) == []
