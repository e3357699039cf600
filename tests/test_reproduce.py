"""A finished run is measured again, or run again as a whole; what differs is one sentence and exit code 4."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from helpers import reports
from helpers.commands import command
from helpers.messages import is_error, says
from optimize import reproduce
from optimize.measure import latency
from optimize.measure.latency import Timing
from optimize.report import results

WORDS = ("prune=0.3", "pruner=l2", "recover=[bn]", "epochs=0", "rounds=12", "threads=1", "rivals=none", "quant=none")


@pytest.fixture
def made(tmp_path, dataset, checkpoint, monkeypatch, capsys) -> Path:
    """The folder of a run."""
    monkeypatch.chdir(tmp_path)
    given = f"model={checkpoint}", f"data={dataset}", "runtime=[onnxruntime]", "hydra.run.dir=run"
    code, _, err = command(monkeypatch, capsys, *given, *WORDS)
    assert code == 0, err
    return tmp_path / "run"


@pytest.fixture
def again(monkeypatch, capsys):
    """Exit code, stdout and stderr of the command."""

    def start(*words: str | Path) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["reproduce", *map(str, words)])
        code = 0
        try:
            with reproduce.one_sentence():
                reproduce.main()
        except SystemExit as stop:
            code = stop.code
        out = capsys.readouterr()
        return code, out.out, out.err

    return start


def timed_with(factor: float):
    """In place of `latency.measure`: each row takes what the run measured, the pruned ones `factor` times as long."""

    def measure(subjects, threads, rounds, seed, references=None, seconds=0.0, frames=()):
        known = {(r.variant.name, r.variant.runtime): r.latency for r in results.read(Path("run/results.json")).results}
        found = []
        for _, variant in subjects:
            time = known[variant.name, variant.runtime]
            slower = factor if "pruned" in variant.tags else 1.0
            ratios = (time.speedup, time.speedup_low, time.speedup_high)
            speedup, low, high = (ratio / slower for ratio in ratios)
            found.append(replace(time.scaled(slower), speedup=speedup, speedup_low=low, speedup_high=high))
        return Timing(tuple(found), 0.0, 0.0, rounds)

    return measure


@pytest.mark.command
def test_only_the_timing_is_measured_again(made, again, monkeypatch):
    monkeypatch.setattr(latency, "measure", timed_with(1.0))
    before = {path: path.stat().st_mtime_ns for path in made.rglob("*")}
    code, out, err = again(made, "--timing")
    assert (code, out.splitlines()[-1]) == (0, "reproduced"), err
    assert {path: path.stat().st_mtime_ns for path in made.rglob("*")} == before
    monkeypatch.setattr(latency, "measure", timed_with(100.0))
    code, out, err = again(made, "--timing")
    assert code == 4
    assert says(err, "not reproduced: pruned on PyTorch: speed-up ... became ... ms, both more than the noise")


def report_with(factor: float):
    """The made-up report in which one row takes `factor` times as long as it took."""
    report = reports.report()
    row = report.results[-1]
    time = row.latency
    ratios = {name: getattr(time, name) / factor for name in ("speedup", "speedup_low", "speedup_high")}
    return replace(report, results=(*report.results[:-1], replace(row, latency=replace(time.scaled(factor), **ratios))))


@pytest.mark.parametrize(
    ("factors", "timings", "differing"),
    [((1.0,), 0, 0), ((1.3, 1.0), 1, 0), ((1.3, 1.3, 1.0), 2, 0), ((1.3, 1.3, 1.3, 1.0), 2, 1)],
)
def test_times_that_differ_are_measured_again_at_most_twice(factors, timings, differing, monkeypatch, capsys):
    made = [report_with(factor) for factor in factors]
    asked = []
    monkeypatch.setattr(reproduce, "time_again", lambda new: asked.append(new) or made[len(asked)])
    rows = reproduce.settled(reports.report(), made[0])
    assert (asked, sum(row.time_differs for row in rows)) == ([made[0]] * timings, differing)
    assert capsys.readouterr().out.count("1 of 15 rows take another time") == timings


@pytest.mark.command
def test_a_file_that_was_changed_is_not_timed(made, again):
    (made / "artefacts" / "onnxruntime" / "pruned.onnx").write_bytes(b"x")
    code, _, err = again(made, "--timing")
    assert code == 1
    assert says(err, "pruned.onnx was changed since the run ... a run whose files are as it left them")


@pytest.mark.long
def test_the_whole_run_is_made_again_with_a_store_of_its_own(made, again, monkeypatch, tmp_path):
    monkeypatch.setattr("optimize.verdict.repeated.Repeated._time", lambda self: iter(()))  # times are no test
    code, out, err = again(made)
    assert (code, out.splitlines()[-1:]) == (0, ["reproduced"]), err
    new = results.read(tmp_path / "run_again" / "results.json")
    assert [row.sha256 for row in new.results] == [row.sha256 for row in results.read(made / "results.json").results]
    assert again(made)[0] == 1  # run_again is there, and nothing is overwritten


def test_other_libraries_and_another_cpu_are_told():
    report = reports.report()
    made = replace(report.provenance, versions=report.provenance.versions | {"torch": "1.0", "nosuch": "7"})
    found = list(reproduce.other_surroundings(replace(report, provenance=made)))
    assert any(says(sentence, "torch was 1.0 and is") for sentence in found)
    assert "nosuch was 7 and is not installed." in found
    assert says(found[-1], "measured on a CPU, this is ... only ratios of times can agree")


def test_what_the_run_trusted_must_be_trusted_again(tmp_path, again):
    report = reports.report()
    made = replace(report.provenance, config=report.provenance.config | {"trust": True})
    results.write(replace(report, provenance=made), tmp_path / "results.json")
    code, out, err = again(tmp_path)
    assert (code, out) == (1, "")
    assert is_error(err, "the run was made with trust=true ... any code ... --trust if you trust their makers")


@pytest.mark.parametrize("words", [("--multirun", "prune=0"), ("hydra.job.env_set.PYTHONPATH=evil",), ("+hydra.x=1",)])
def test_words_for_hydra_are_not_given_again(words, tmp_path, again):
    report = reports.report()
    results.write(replace(report, provenance=replace(report.provenance, words=words)), tmp_path / "results.json")
    code, out, err = again(tmp_path)
    assert (code, out) == (1, "")
    assert is_error(err, "has words for Hydra ... repeat it by hand")


def test_a_run_that_ended_early_is_not_repeated(tmp_path, again):
    results.write(reports.report(unfinished="Stopped."), tmp_path / "results.json")
    assert is_error(again(tmp_path, "--timing")[2], "the run ended early ... give one that ended")


def test_what_is_no_run_is_one_sentence(tmp_path, again):
    code, out, err = again(tmp_path)
    assert (code, out) == (1, "")
    assert is_error(err, "results.json does not exist ... the folder of a run")
    (tmp_path / "results.json").write_text(json.dumps({"schema": 99}))
    assert is_error(again(tmp_path)[2], "has schema 99")
