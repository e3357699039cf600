"""Whatever ends a command is one sentence: what it is, during what, where the log and the report are, what to do."""

import errno
import json
import logging
import os
import signal
import subprocess
import sys
from concurrent.futures.process import BrokenProcessPool

import pytest

from helpers import ROOT
from helpers.commands import command
from helpers.messages import is_error, says
from optimize.errors import InputError, LimitMissed, described, during
from optimize.host.process import run_in_new_process
from optimize.judge import Judge
from optimize.sentences import one_sentence

QUICK = "rounds=12", "threads=1", "rivals=none", "quant=none", "runtime=[]", "prune=0"
LESS = " ... smaller batch= or imgsz= ... kept"
OURS = " ... fault of this program or of a library ... report the log ... HYDRA_FULL_ERROR=1"


def killed() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


FAULTS = {
    "memory": (MemoryError(), "error: the memory ran out ... {where} ... (MemoryError)" + LESS),
    "allocator": (
        RuntimeError("[enforce fail at alloc_cpu.cpp:124] DefaultCPUAllocator: can't allocate memory: 9 bytes"),
        "error: the memory ran out ... {where} ... DefaultCPUAllocator: can't allocate memory: 9 bytes" + LESS,
    ),
    "cuda": (
        RuntimeError("CUDA out of memory. Tried to allocate 1 GiB"),
        "error: the memory ran out ... {where} ... CUDA out of memory. Tried to allocate 1 GiB" + LESS,
    ),
    "child": (
        BrokenProcessPool("A process in the process pool was terminated abruptly"),
        "error: a process was killed ... {where} ... memory" + LESS,
    ),
    "disk": (
        OSError(errno.ENOSPC, "No space left on device", "a/b.onnx"),
        "error: the disk is full (a/b.onnx) ... {where} ... free some space ... another folder ... kept",
    ),
    "bug": (KeyError("fused"), "error: KeyError: 'fused' ... {where}" + OURS),
    "bug without a word": (AssertionError(), "error: AssertionError ... {where}" + OURS),
    "stop": (
        KeyboardInterrupt(),
        "stopped: ... kept ... same command resumes ... {where}",
    ),
}


@pytest.fixture
def run(dataset, checkpoint, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    return lambda *words: command(
        monkeypatch, capsys, f"model={checkpoint}", f"data={dataset}", *QUICK, "hydra.run.dir=run", *words
    )


def raising(error: BaseException):
    def function(*_, **__):
        raise error

    return function


@pytest.mark.command
@pytest.mark.parametrize("fault", FAULTS)
def test_what_ends_a_run_is_one_sentence_with_the_report_of_what_was_measured(fault, run, tmp_path, monkeypatch):
    error, expected = FAULTS[fault]
    monkeypatch.setattr(Judge, "time", raising(error))
    code, out, err = run()
    assert (code, out) == (130 if fault == "stop" else 1, "")
    log, page = tmp_path / "run" / "optimize.log", tmp_path / "run" / "report.html"
    where = f"while timing ... {log} ... {page}"
    assert says(err.splitlines()[-1], expected.format(where=where))
    assert "Traceback" not in err
    assert err.splitlines()[-1] in log.read_text()
    assert ("Traceback (most recent call last)" in log.read_text()) == (fault != "stop")
    content = json.loads((tmp_path / "run" / "results.json").read_text())
    assert [row["name"] for row in content["results"]] == ["original"]
    assert content["results"][0]["accuracy"]["images"] == 8 and content["results"][0]["latency"] is None
    assert content["unfinished"] == ("it was stopped" if fault == "stop" else described(error).rstrip("."))
    assert says(content["verdict"], f"ended before everything was measured ... {content['unfinished']}")
    assert "ended before everything was measured" in page.read_text()
    assert "(best)" not in (tmp_path / "run" / "report.md").read_text()


@pytest.mark.command
def test_a_stage_is_named(run, monkeypatch, tmp_path):
    monkeypatch.setattr("optimize.pruner.prune.Prune.__call__", raising(MemoryError()))
    code, _, err = run("prune=0.3")
    assert code == 1
    where = f"running Prune on original for torch ... {tmp_path}/run/optimize.log ... {tmp_path}/run/report.html"
    assert is_error(err.splitlines()[-1], f"the memory ran out ... {where} ... (MemoryError){LESS}")


@pytest.mark.command
def test_where_nothing_was_measured_there_is_no_report(run, monkeypatch, tmp_path):
    monkeypatch.setattr("optimize.pipeline.original", raising(ValueError("wrong")))
    code, _, err = run()
    assert code == 1
    assert is_error(err.splitlines()[-1], f"ValueError: wrong ... {tmp_path}/run/optimize.log{OURS}")
    assert "report.html" not in err.splitlines()[-1]
    assert not (tmp_path / "run" / "results.json").exists()


@pytest.mark.command
def test_a_report_that_cannot_be_written_hides_nothing(run, monkeypatch, tmp_path):
    monkeypatch.setattr(Judge, "time", raising(MemoryError()))
    monkeypatch.setattr("optimize.report.unfinished.put", raising(OSError(errno.ENOSPC, "No space left on device")))
    code, _, err = run()
    assert code == 1
    assert says(
        err.splitlines()[-1], f"the memory ran out while timing ... {tmp_path}/run/optimize.log ... (MemoryError)"
    )
    assert "report.html" not in err.splitlines()[-1]


@pytest.mark.command
@pytest.mark.parametrize("fault", ["bug", "memory", "stop"])
def test_the_switch_of_hydra_shows_the_traceback_as_well(fault, run, monkeypatch, tmp_path):
    error, _ = FAULTS[fault]
    monkeypatch.setattr(Judge, "time", raising(error))
    monkeypatch.setattr("helpers.commands.FULL_ERROR", "1")
    code, out, err = run()
    assert (code, out) == (130 if fault == "stop" else 1, "")
    assert "Traceback (most recent call last)" in err and "in function\n    raise error" in err
    assert err.splitlines()[-1].startswith(("error: ", "stopped: "))
    assert os.environ["HYDRA_FULL_ERROR"] == "1" and "OPTIMIZE_FULL_ERROR" not in os.environ


def test_a_mistake_stays_the_sentence_that_it_was(run, monkeypatch):
    code, _, err = run("prune=2")
    assert code == 1 and is_error(err, "prune=2.0 ... 0 <= prune < 1 ... FLOPs ... 0.3")


@pytest.mark.parametrize(("error", "code"), [(InputError("a."), 1), (LimitMissed("a."), 3), (KeyError("a"), 1)])
def test_the_exit_code(error, code, no_log, capsys):
    with pytest.raises(SystemExit) as stop, one_sentence():
        raise error
    assert stop.value.code == code
    assert capsys.readouterr().err.count("\n") == 1


@pytest.fixture
def no_log(monkeypatch):
    """What runs in other tests left behind, which a process has but once."""
    monkeypatch.setattr(logging.getLogger(), "handlers", [])


def test_without_a_log_the_line_itself_is_what_to_report(no_log, capsys):
    with pytest.raises(SystemExit), one_sentence(), during("writing"), during("counting layers"):
        raise KeyError("a")
    parts = "KeyError: 'a' while counting layers ... fault of this program or of a library ... report this line"
    assert is_error(capsys.readouterr().err, f"{parts} ... HYDRA_FULL_ERROR=1")


@pytest.mark.command
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system kills by no signal")
def test_a_child_that_is_killed_is_known(no_log, capsys):
    with pytest.raises(SystemExit), one_sentence():
        run_in_new_process(killed)
    assert is_error(capsys.readouterr().err, "a process was killed ... memory")


COMMANDS = {
    "flops": ("optimize.flops.counting", "count_sizes", "model=a.yaml"),
    "bound": ("optimize.bound", "_parsed", "model=a.yaml limits.flops=1e9"),
    "report": ("optimize.report.results", "read", "run"),
    "store": ("optimize.store.contents", "contents", ""),
    "sweep": ("optimize.sweep.sweep", "read", "sweep"),
    "import_measurement": ("optimize.report.results", "read", "run file"),
    "profile_device": ("optimize.measure.machine", "measure_machine", "here.yaml"),
}
BROKEN = """
import importlib, runpy, sys
module, name, command, *words = sys.argv[1:]
def broken(*_, **__):
    raise ZeroDivisionError("a fault")
sys.argv = [command, *words]
place = importlib.import_module(module)
setattr(place, name, broken)
runpy.run_module(command, run_name="__main__")
"""


@pytest.mark.command
@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_the_net(name, tmp_path):
    module, function, words = COMMANDS[name]
    if module == f"optimize.{name}":  # which runs as __main__, so that what it imports is broken instead
        module, function = "optimize.config", "of_words"
    (tmp_path / "a.yaml").touch()
    (tmp_path / "runs" / "store").mkdir(parents=True)
    call = [sys.executable, "-c", BROKEN, module, function, f"optimize.{name}", *words.split()]
    environment = {key: value for key, value in os.environ.items() if key != "HYDRA_FULL_ERROR"}
    environment["PYTHONPATH"] = str(ROOT)
    done = subprocess.run(call, cwd=tmp_path, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 1
    assert is_error(done.stderr.splitlines()[-1], "ZeroDivisionError: a fault ... fault of this program")
    assert "Traceback" not in done.stderr


@pytest.mark.command
def test_who_reads_no_further_ends_it_without_a_traceback(tmp_path):
    """As `python -m optimize.flops ... | head -1` does."""
    code = "from optimize.sentences import one_sentence\nwith one_sentence():\n    while True: print('x', flush=True)"
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    call = ["bash", "-c", f'{sys.executable} -c "{code}" | head -1']
    done = subprocess.run(call, capture_output=True, text=True, check=False, env=environment, cwd=tmp_path)
    assert done.stdout == "x\n"
    assert is_error(done.stderr, "a pipe broke")
