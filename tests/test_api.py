"""`optimize.optimize`: equal keys, errors and figures as the command, and the program around it is left as it was."""

import ast
import inspect
import json
import logging
import os
import signal
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import yaml
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.singleton import Singleton
from ultralytics import YOLO

import optimize as package
from helpers import ROOT, reports
from helpers.commands import command, python_path
from helpers.messages import like, says
from optimize import sentences
from optimize.api import Keys, optimize
from optimize.compose import composed, words
from optimize.config import CONF
from optimize.errors import InputError, LimitMissed, VariantFailed
from optimize.host.resources import cores
from optimize.keys import root
from optimize.limits import Limits
from optimize.measure import clock
from optimize.report import results
from optimize.report.words import columns
from optimize.run import Run
from optimize.yolo.loaded import keep

QUICK = {"rounds": 12, "threads": 1, "rivals": "none", "quant": "none", "runtime": [], "prune": 0}

# -- keys --


def test_every_key_of_the_command_is_a_keyword_with_its_default_and_its_explanation():
    config = yaml.safe_load((CONF / "config.yaml").read_text(encoding="utf-8"))
    groups = [key for item in config.pop("defaults") if isinstance(item, dict) for key in item if "override" not in key]
    parameters = inspect.signature(optimize).parameters
    assert {"model", *Keys.__annotations__} == set(parameters) == {*config, *groups}
    plain = {key: value for key, value in config.items() if not isinstance(value, dict)}
    assert {key: parameters[key].default for key in plain} == plain
    assert parameters["recover"].default == ["bn", "finetune"]
    text = " ".join(optimize.__doc__.split())
    assert all(key.meaning in text for key in root().values() if key.name != "hydra.sweep.dir")


@pytest.mark.parametrize(
    "keys, given",
    [
        ({"prune": 0.3, "bundle": True, "imgsz": None}, ["prune=0.3", "bundle=true", "imgsz=null"]),
        ({"limits": {"latency_ms": 20}}, ["limits.latency_ms=20"]),
        ({"pruner": "lamp", "pruner.target": "latency"}, ["pruner=lamp", "pruner.target=latency"]),
        ({"recover": {"finetune": {"epochs": 3}}}, ["recover.finetune.epochs=3"]),
        ({"runtime": ("onnxruntime", "openvino")}, ["runtime=[onnxruntime,openvino]"]),
        ({"imgsz": [384, 640], "recover": []}, ["imgsz=[384,640]", "recover=[]"]),
        ({"data": Path("a b") / "c,d.yaml"}, [f"data='{Path('a b') / 'c,d.yaml'}'"]),
        ({"device": "0,1", "seed": "3"}, ["device='0,1'", "seed='3'"]),
        ({"experiment": None, "limits": None}, []),
    ],
)
def test_values_of_python_become_words_of_the_command(keys, given):
    assert words(keys) == given
    composed(given)


@pytest.mark.parametrize("text", ["a, (b).pt", "${seed}", "it's", "null", "[x]", "0.5", "k=v", "ä"])
def test_texts_are_taken_literally(text):
    config = composed(words({"model": text, "rivals": [text], "hydra": {"run": {"dir": text}}}))
    assert (config.model, list(config.rivals), config.hydra.run.dir) == (text, [text], text)


@pytest.mark.parametrize(
    "keys, sentence",
    [
        ({"prun": 0.3}, "prun is not a key ... prune"),
        ({"limits": {"latncy_ms": 20}}, "limits.latncy_ms is not a key ... limits.latency_ms"),
        ({"pruner": {"tagret": "flops"}}, "pruner.tagret is not a key ... pruner.target"),
        ({"quant": "int9"}, "quant=int9 ... fp16, int8, none"),
        ({"quant": None}, "quant=None is not allowed ... quant=none"),
        ({"recover": None}, "recover=None is not allowed ... recover=[]"),
        ({"runtime": None}, "runtime=None is not allowed ... runtime=[]"),
        ({"pruner": None}, "pruner=None is not allowed ... prune=0"),
        ({"limits": 3}, "limits=3 is not allowed ... limits.latency_ms=20"),
        ({"prune": "much"}, "prune=much ... a number or null"),
        ({"prune": object()}, "prune is of the type object ... a number"),
        ({"experiment": "search"}, "experiment=search is many runs ... python -m optimize"),
        ({"hydra": {"sweep": {"dir": "a"}}}, "hydra.sweep.dir=a is for the command line alone ... hydra.run.dir"),
        ({"plan": True}, "plan=True ... command line"),
        ({"model": "nowhere.pt"}, "model=nowhere.pt does not exist"),
        ({"model": 3}, "model is of the type int ... ultralytics.YOLO"),
    ],
)
def test_a_mistake_is_an_input_error_of_one_sentence_and_nothing_is_written(keys, sentence, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=like(sentence)):
        optimize(**keys)
    assert list(tmp_path.iterdir()) == []


def test_a_command_names_the_nearest_key_too(monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    code, _, err = command(monkeypatch, capsys, "epoch=3")
    assert code == 1 and "epoch is not a key, the nearest is epochs" in err
    assert "nearest" not in sentences.unknown_key("zzzzzz")


def test_a_program_that_hydra_configures_keeps_its_hydra():
    with initialize_config_dir(str(CONF.resolve()), version_base="1.3"):
        before = dict(Singleton._instances)
        composed(["prune=0.5"])
        assert Singleton._instances == before and GlobalHydra.instance().is_initialized()


# -- the run that is returned --


def test_a_run_has_the_verdict_and_the_table_also_as_html(capsys):
    run = Run(reports.report(), Path("runs/a"))
    assert run.best in run.results and run.best.path == run.best.variant.path
    assert run.missed == run.failed == ()
    run.check()
    assert run.report_path == Path("runs/a/report.html")
    assert run.sentence in " ".join(run.table().split()) and all(name in run.table() for name in columns(run.report))
    assert capsys.readouterr().out == ""
    html = run._repr_html_()
    assert html.count("<tr>") == 1 + len(run.results) and run.sentence.split(":")[0] in html


def test_what_others_named_is_no_html_in_a_notebook():
    report = reports.report()
    first = report.results[0]
    named = replace(first, variant=replace(first.variant, tags=("<script>",)))
    html = Run(replace(report, results=(*report.results, named)), Path("a"))._repr_html_()
    assert "&lt;script&gt;" in html and "<script>" not in html


def test_a_missed_limit_is_in_the_run_and_raised_where_asked_for():
    run = Run(reports.report(limits=Limits(latency_ms=1e-4)), Path("a"))
    assert run.best is None and run.missed == (run.sentence,) and "0.0001 ms" in run.sentence
    with pytest.raises(LimitMissed, match="Nothing meets the limits"):
        run.check()
    with pytest.raises(VariantFailed, match="no bundle"):
        replace(run, failed=("there is no bundle.",)).check()


# -- YOLO objects --


def test_a_loaded_model_is_written_once_with_its_weights(checkpoint, tmp_path):
    yolo = YOLO(checkpoint)
    before = {key: value.clone() for key, value in yolo.model.state_dict().items()}
    path = keep(yolo, tmp_path / "store")
    again = keep(YOLO(checkpoint), tmp_path / "store")
    assert path == again and [file.name for file in (tmp_path / "store").glob("*.pt")] == [path.name]
    kept = YOLO(path).model.state_dict()
    assert all(
        (kept[key] == value).all() and (yolo.model.state_dict()[key] == value).all() for key, value in before.items()
    )
    yolo.fuse()
    with pytest.raises(InputError, match=like("fused ... load it again")):
        keep(yolo, tmp_path / "store")


# -- a program is left as it was --


def test_nothing_is_computed_in_the_command():
    tree = ast.parse((ROOT / "optimize/cli.py").read_text(encoding="utf-8"))
    imported = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    called = {ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    rooms = {name.split(".")[1] for name in imported if name.startswith("optimize.")}
    assert "run.carry_out" in called
    assert rooms.isdisjoint(("pipeline", "judge", "measure", "verdict", "pruner", "quant", "runtime", "yolo", "data"))
    api = ast.parse((ROOT / "optimize/call.py").read_text(encoding="utf-8"))
    assert "run.carry_out" in {ast.unparse(node.func) for node in ast.walk(api) if isinstance(node, ast.Call)}


def test_the_function_is_imported_without_what_takes_seconds():
    code = "import os, sys; from optimize import optimize; print(os.environ['OMP_NUM_THREADS'], *sorted(sys.modules))"
    env = {key: value for key, value in os.environ.items() if key != "OMP_NUM_THREADS"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT, env=env)
    threads, *loaded = done.stdout.split()
    heavy = {"torch", "ultralytics", "numpy", "scipy", "sklearn", "onnxruntime", "openvino", "altair", "hydra", "rich"}
    assert heavy.isdisjoint(loaded) and "optimize.api" in loaded
    assert threads == str(cores())  # ultralytics, which is imported next, would have set 1
    assert package.optimize is optimize and package.Run is Run
    with pytest.raises(AttributeError, match="no attribute 'optimise'"):
        package.optimise  # noqa: B018


@pytest.mark.parametrize("command", ["report", "sweep", "store", "reproduce", "import_measurement"])
def test_a_command_that_reads_what_was_made_starts_without_torch(command):
    words = [sys.executable, "-X", "importtime", "-m", f"optimize.{command}", "--help"]
    done = subprocess.run(words, capture_output=True, text=True, cwd=ROOT, check=True)
    imported = {line.split("|")[-1].strip() for line in done.stderr.splitlines()}
    assert "optimize.errors" in imported and {"torch", "ultralytics"}.isdisjoint(imported)


SCRIPT = """
print("main")
from functools import partial
from optimize.host.process import run_in_new_process, without_main
from optimize.measure.clock import Opened, worker
with without_main():
    assert run_in_new_process(divmod, 7, 2) == (3, 1)
    try:
        with worker(partial(divmod, 1, 0)):
            pass
    except Exception as error:
        print(error)
"""


@pytest.mark.parametrize("way", ["file", "module", "stdin", "word"])
def test_processes_do_not_run_a_script_without_a_guard_again(way, tmp_path):
    (tmp_path / "script.py").write_text(SCRIPT)
    words = {"file": ["script.py"], "module": ["-m", "script"], "stdin": ["-"], "word": ["-c", SCRIPT]}[way]
    done = subprocess.run(
        [sys.executable, *words],
        input=SCRIPT if way == "stdin" else "",
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": python_path(ROOT, tmp_path)},
    )
    assert (done.returncode, done.stdout.splitlines()) == (0, ["main", "integer division or modulo by zero"]), (
        done.stderr
    )


@pytest.mark.command
def test_python_and_the_command_give_equal_files_and_figures(dataset, checkpoint, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(clock, "visit", partial(_in_no_time, clock.visit))  # which row is best depends on times
    given = [f"model={checkpoint}", f"data={dataset}", "rounds=12", "epochs=1", "batch=4", "rivals=none", "seed=1"]
    code, out, _ = command(
        monkeypatch, capsys, *given, "runtime=[onnxruntime]", "limits.flops=1e8", "store=s1", "hydra.run.dir=cli"
    )
    before = _state()
    monkeypatch.setattr(sys, "argv", ["of the program", "prune=0.9"])
    keys = {"runtime": ["onnxruntime"], "limits": {"flops": 1e8}, "store": "s2", "hydra": {"run": {"dir": "python"}}}
    run = optimize(str(checkpoint), data=dataset, rounds=12, epochs=1, batch=4, rivals="none", seed=1, **keys)
    assert _state() == before and sys.argv == ["of the program", "prune=0.9"]
    old, new = (results.read(tmp_path / name / "results.json") for name in ("cli", "python"))
    assert len(run.results) == len(old.results) and run.folder == tmp_path / "python"
    assert [_figures(row) for row in new.results] == [_figures(row) for row in old.results]
    first, second = (Run(report, tmp_path) for report in (old, new))
    assert first.sentence == second.sentence == run.sentence
    assert (code == 3) == bool(run.missed) and run.failed == ()
    assert _same(first.best) == _same(second.best) == _same(run.best)
    assert old.provenance.remarks == new.provenance.remarks
    assert new.provenance.words[2:] == (
        *("rounds=12", "epochs=1", "batch=4", "rivals=none", "seed=1", "runtime=[onnxruntime]"),
        *("limits.flops=100000000.0", "store=s2", "hydra.run.dir=python"),
    )
    assert {path.name for path in (tmp_path / "cli").iterdir()} == {
        path.name for path in (tmp_path / "python").iterdir()
    }
    assert out.splitlines()[-1] == str(tmp_path / "cli")


def _in_no_time(visit, *arguments, told: bool = True) -> list[float]:
    return [1.0 for _ in visit(*arguments, told=told)]


def _state() -> tuple:
    logs = logging.getLogger(), logging.getLogger("optimize")
    handlers = [[h for h in log.handlers if type(h) is not logging.FileHandler] for log in logs]
    return (
        handlers,
        [log.level for log in logs],
        os.getcwd(),
        signal.getsignal(signal.SIGINT),
        dict(Singleton._instances),
    )


def _figures(row) -> tuple:
    return row.variant.name, row.variant.runtime, row.sha256, row.flops, row.int_ops, row.accuracy, row.size_bytes


def _same(row) -> tuple | None:
    return row and _figures(row)[:3]


@pytest.mark.command
def test_a_loaded_model_is_optimized_twice_in_one_process(dataset, checkpoint, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    first = optimize(YOLO(checkpoint), data=dataset, **QUICK)
    second = optimize(YOLO(checkpoint), data=dataset, **QUICK)
    assert first.folder != second.folder and first.results[0].sha256 == second.results[0].sha256
    assert first.results[0].path.parent.name == "store" and first.results[0].path.is_file()
    assert first.results[0].path.stem in (first.folder / "uses.txt").read_text().split()
    assert json.loads((first.folder / ".optimize.json").read_text())["finished"]
    assert "timing 1 variants" in (second.folder / "optimize.log").read_text()


@pytest.mark.command
@pytest.mark.parametrize("error", [RuntimeError("no such operator"), KeyboardInterrupt()])
def test_what_ends_a_run_is_raised_as_it_is_and_the_next_call_goes_on(
    error, dataset, checkpoint, tmp_path, monkeypatch, caplog
):
    monkeypatch.chdir(tmp_path)
    keys = QUICK | {"data": dataset, "hydra": {"run": {"dir": "a"}}}
    before = _state()
    with monkeypatch.context() as patch, pytest.raises(type(error)) as raised:
        patch.setattr("optimize.pipeline.timed", lambda *_, **__: (_ for _ in ()).throw(error))
        optimize(checkpoint, **keys)
    assert raised.value is error and _state() == before
    assert says(" ".join(error.__notes__), "while timing") and (tmp_path / "a/report.html").is_file()
    assert f"{type(error).__name__}" in (tmp_path / "a/optimize.log").read_text()
    caplog.clear()
    run = optimize(checkpoint, **keys)
    assert run.failed == () and not [line for line in caplog.messages if "mAP50-95" in line]  # validated before


@pytest.mark.long
def test_a_script_without_a_guard_is_run_once(dataset, checkpoint, tmp_path):
    (tmp_path / "script.py").write_text(
        "print('main')\nfrom optimize import optimize\n"
        f"run = optimize({str(checkpoint)!r}, data={str(dataset)!r}, **{QUICK | {'runtime': ['onnxruntime']}!r})\n"
        "print(len(run.results), run.folder)\n"
    )
    done = subprocess.run(
        [sys.executable, "script.py"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": python_path(ROOT)},
    )
    assert done.returncode == 0, done.stderr
    folder = next(path for path in (tmp_path / "runs").iterdir() if path.name != "store")
    assert done.stdout.splitlines() == ["main", f"2 {folder}"]
