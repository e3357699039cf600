"""A variant that can't be made or measured is a row with its reason; the others go on, and the exit code is 1."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from helpers import reports
from helpers.commands import command
from helpers.messages import says
from optimize.errors import InputError
from optimize.failures import record_failure
from optimize.input_size import square
from optimize.measure import clock, latency
from optimize.measure.latency import Timing, Untimed
from optimize.pipeline import timed
from optimize.quant.int8 import Int8
from optimize.report import results, words
from optimize.result import Failure
from optimize.runtime.onnxruntime import OnnxRuntime
from optimize.runtime.openvino import OpenVino
from optimize.runtime.torch import Torch
from optimize.variant import Variant

pytestmark = pytest.mark.command

OWN_PROCESS = clock.worker  # conftest puts another one in its place


@pytest.fixture
def optimize(monkeypatch, capsys, tmp_path, dataset, checkpoint):
    """Runs a command on the tiny model, and gives the exit code, the report and what was printed."""
    monkeypatch.chdir(tmp_path)
    given = f"model={checkpoint}", f"data={dataset}", "rounds=12", "threads=1", "epochs=0", "prune=0", "rivals=none"

    def run(*words: str):
        code, out, err = command(monkeypatch, capsys, *given, *words)
        folder = Path(out.splitlines()[-1])
        return code, results.read(folder / "results.json"), folder, out, err

    return run


def broken(error: Exception):
    def fail(*arguments):
        raise error

    return fail


def names(report) -> list[tuple[str, str]]:
    return [(row.variant.name, row.variant.runtime) for row in report.results]


def test_a_precision_that_fails_is_a_row_and_the_others_are_measured(optimize, monkeypatch):
    def call(stage, variant, folder):
        if variant.runtime == "openvino":
            raise RuntimeError("no kernel\nof that kind")
        return variant

    monkeypatch.setattr(Int8, "__call__", call)
    code, report, folder, out, err = optimize("runtime=[onnxruntime,openvino]")
    assert code == 1
    assert report.failures == (Failure("int8", "openvino", "RuntimeError: no kernel"),)
    assert {("original", "torch"), ("original", "onnxruntime"), ("original", "openvino")} <= set(names(report))
    assert all(row.latency for row in report.results)
    sentence = "int8 on openvino failed: RuntimeError: no kernel"
    assert err.splitlines()[-1] == f"error: {sentence}"
    log = (folder / "optimize.log").read_text()
    assert "Traceback (most recent call last)" in log and "of that kind" in log
    row = ("int8", "openvino", *("-",) * (len(words.columns(report)) - 2))
    assert words.rows(report)[-1] == row and words.kinds(report)[-1] == "failed"
    assert out.startswith("FAILED: int8 on openvino: RuntimeError: no kernel\n")
    assert says((folder / "report.md").read_text(), "failed ... int8 on openvino: RuntimeError: no kernel")
    assert "| int8 (failed) | openvino | - |" in (folder / "report.md").read_text()


def test_where_every_runtime_fails_there_is_still_a_report_with_torch(optimize, monkeypatch):
    monkeypatch.setattr(OnnxRuntime, "export", broken(InputError("this can't be exported.")))
    monkeypatch.setattr(OpenVino, "open", broken(ValueError("")))
    code, report, _, _, err = optimize("runtime=[onnxruntime,openvino]", "quant=none")
    assert code == 1
    assert names(report) == [("original", "torch")]
    assert Failure("original", "onnxruntime", "this can't be exported.") in report.failures
    assert Failure("original", "openvino", "ValueError") in report.failures
    assert says(err, "original on onnxruntime ... this can't be exported. ... original on openvino ... ValueError")
    assert [row[:2] for row in words.rows(report)][:3] == [
        *[("original", "torch"), ("original", "onnxruntime"), ("original", "openvino")]
    ]


def test_without_the_original_there_is_no_report(monkeypatch, capsys, tmp_path, dataset, checkpoint):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Torch, "open", broken(InputError("the original can't be opened.")))
    given = f"model={checkpoint}", f"data={dataset}", "prune=0", "quant=none", "runtime=[]"
    code, out, err = command(monkeypatch, capsys, *given)
    assert (code, out) == (1, "")
    assert err.splitlines()[-1] == "error: the original can't be opened."
    assert not list(tmp_path.glob("runs/*/results.json"))


def test_what_ends_the_run_is_not_a_row():
    failures = []
    for error in (KeyboardInterrupt(), OSError(28, "No space left on device")):
        with pytest.raises(type(error)), record_failure(failures, "int8", "openvino"):
            raise error
    assert failures == []
    with record_failure(failures, "int8", "openvino"):
        raise FileNotFoundError(2, "No such file")
    assert failures == [Failure("int8", "openvino", "FileNotFoundError: [Errno 2] No such file")]


def test_the_variant_that_cannot_be_timed_is_named_across_processes(checkpoint, monkeypatch):
    good, bad = (Variant(path, "torch", "fp32", square(32)) for path in (checkpoint, Path("none.pt")))
    monkeypatch.setattr(clock, "worker", OWN_PROCESS)
    with pytest.raises(Untimed) as error:
        latency.measure([(Torch().open, good), (Torch().open, bad), (Torch().open, good)], 1, 12, 0)
    assert error.value.index == 1
    assert says(str(error.value), "original on torch ... InputError: model=none.pt does not exist")


def test_the_others_are_timed_again_and_the_row_stays_without_a_time():
    report = reports.report()
    times = [row.latency for row in report.results[:3]]
    untimed = [replace(row, latency=None, frame=None) for row in report.results[:3]]
    asked = []

    def time(variants, with_frames):
        asked.append([variant.name for variant in variants])
        if "pruned" in asked[-1]:
            raise Untimed("pruned on torch can't be timed: no.", asked[-1].index("pruned"))
        return Timing((times[0], times[2]), 0.01, 0.02, 12)

    built = replace(report, results=tuple(untimed), noise=None, noise_spread=None)
    report = timed(built, SimpleNamespace(time=time))
    assert asked == [["original", "pruned", "64px"], ["original", "64px"]]
    assert [row.latency for row in report.results] == [times[0], None, times[2]]
    assert report.failures == (Failure("pruned", "torch", "pruned on torch can't be timed: no."),)
    assert (report.noise, report.noise_spread) == (0.01, 0.02)
    assert [row[:2] for row in words.rows(report)] == [("original", "torch"), ("pruned", "torch"), ("64px", "torch")]
    assert words.rows(report)[1][-3:] == ("-", "-", "-")


def test_without_the_original_of_a_runtime_nothing_there_is_called_faster():
    report = reports.report()
    rows = tuple(r for r in report.results if (r.variant.name, r.variant.runtime) != ("original", "openvino"))
    report = reports.report(results=rows, failures=(Failure("original", "openvino", "it failed."),))
    faster = {row[:2]: row[-1] for row in words.rows(report)}
    assert faster["pruned", "openvino"] == "-"
    assert faster["pruned", "onnxruntime"].startswith("1.37x")
    assert [row[:2] for row in words.rows(report)][-1] == ("original", "openvino")


def test_a_missed_limit_ends_with_code_3_after_the_report(optimize):
    code, report, folder, out, err = optimize("runtime=[]", "quant=none", "limits.latency_ms=0.001")
    assert code == 3
    time = report.results[0].latency.median_ms
    sentence = json.loads((folder / "results.json").read_text())["verdict"]
    missed = f"original on PyTorch ... {time:.4g} ms instead of 0.001 ms"
    assert says(sentence, f"Nothing meets ... latency_ms=0.001 ... nearest ... {missed}")
    assert err.splitlines()[-1] == f"error: {sentence}"
    assert sentence in " ".join(out.split())
    code, *_ = optimize("runtime=[]", "quant=none", "limits.latency_ms=1e6")
    assert code == 0
