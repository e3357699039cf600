"""`optimize.compare`: what is worse ends with exit code 4, and what can't be compared is said."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from helpers import reports
from helpers.messages import is_error, says
from optimize import compare
from optimize.measure import clock, slowdown
from optimize.measure.slowdown import Slowdown
from optimize.report import results
from optimize.store.apply import digest

OPENVINO = {"runtime": {"openvino": {"_target_": "optimize.runtime.openvino.OpenVino"}}, "trust": False}


@pytest.fixture
def run(monkeypatch, capsys):
    """Exit code, stdout and stderr of the command."""

    def start(*words: str | Path) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["compare", *map(str, words)])
        code = 0
        try:
            with compare.one_sentence():
                compare.main()
        except SystemExit as stop:
            code = stop.code
        out = capsys.readouterr()
        return code, out.out, out.err

    return start


def written(folder: Path, change=lambda row: row, **changes) -> Path:
    """A run's folder with the made-up report, its rows changed, and files for OpenVINO of made-up bytes."""
    provenance = reports.provenance(config=reports.provenance().config | OPENVINO | changes.pop("config", {}))
    report = reports.report(provenance=provenance, **changes)
    rows = []
    for row in report.results:
        if row.variant.runtime == "openvino":
            place = folder / "artefacts" / "openvino" / f"{row.variant.name}_openvino_model"
            place.mkdir(parents=True)
            (place / "model.xml").write_text(row.variant.name)
            row = replace(row, sha256=digest(place))
        rows.append(change(row))
    folder.mkdir(exist_ok=True)
    results.write(replace(report, results=tuple(row for row in rows if row)), folder / "results.json")
    return folder


@pytest.fixture
def timed(monkeypatch) -> list:
    """What is timed; the new file takes 20 % longer, or what `found` is set to."""
    calls = []

    def measure(old, new, threads, seed):
        calls.append((old[1].path, new[1].path, threads))
        return Slowdown(10.0, 12.0, 0.2, 0.15)

    monkeypatch.setattr(slowdown, "measure", measure)
    return calls


def test_the_row_that_the_old_run_would_deploy_is_compared(tmp_path, run, monkeypatch, timed):
    old, new = written(tmp_path / "old"), written(tmp_path / "new")
    code, out, err = run(old, new)
    place = Path("artefacts", "openvino", "int8_openvino_model")
    assert timed == [(old / place, new / place, 2)]
    assert code == 4
    assert is_error(err, "worse: int8 on OpenVINO: ms, both timed now 10 became 12 (+20.0 %")
    monkeypatch.setattr(slowdown, "measure", lambda *_: Slowdown(10.0, 10.1, 0.01, 0.005))
    code, out, err = run(old, new)
    assert (code, out.splitlines()[-1], err) == (0, "not worse", "")


def test_a_bar_is_a_results_json_alone_and_times_are_compared_by_the_records(tmp_path, run, timed):
    bar = written(tmp_path / "old").rename(tmp_path / "moved") / "results.json"
    bar = bar.rename(tmp_path / "bar.json")
    code, out, err = run(bar, written(tmp_path / "new"))
    assert (code, out.splitlines()[-1], timed) == (0, "not worse", []), err
    assert says(out, "speed-up")


def test_a_file_that_was_changed_is_not_timed(tmp_path, run, timed):
    old, new = written(tmp_path / "old"), written(tmp_path / "new")
    (new / "artefacts" / "openvino" / "int8_openvino_model" / "model.xml").write_text("another")
    report = results.read(old / "results.json")
    results.write(replace(report, provenance=replace(report.provenance, threads=7)), old / "results.json")
    code, out, _ = run(old, new)
    assert (code, timed) == (0, [])
    assert says(out, "not compared: int8 on OpenVINO: speed-up: the new file is not here ... 7 and on 2 threads")


def test_what_the_new_run_lacks_is_worse(tmp_path, run, timed):
    old = written(tmp_path / "old")
    new = written(tmp_path / "new", lambda row: None if row.variant.name == "int8" else row)
    code, _, err = run(old, new)
    assert code == 4
    assert is_error(err, "worse: int8 on OpenVINO: it is missing.")


def test_all_rows_but_rivals(tmp_path, run, timed):
    old = written(tmp_path / "old")
    code, out, err = run(
        old, written(tmp_path / "new", lambda row: replace(row, size_bytes=2 * row.size_bytes)), "--all"
    )
    assert code == 4
    assert len(timed) == 4
    assert err.count("MB") == 10
    assert "64px" not in err + out


def test_a_file_that_cannot_be_opened_is_one_sentence(tmp_path, run, monkeypatch):
    def measure(*_):
        raise clock.Stopped("it is broken", 1)

    monkeypatch.setattr(slowdown, "measure", measure)
    code, _, err = run(written(tmp_path / "old"), written(tmp_path / "new"))
    assert code == 1
    assert is_error(err, "the new int8 on OpenVINO can't be timed: it is broken")


def test_what_can_run_code_needs_trust(tmp_path, run, timed):
    old, new = written(tmp_path / "old"), written(tmp_path / "new", config={"trust": True})
    code, out, err = run(old, new)
    assert (code, out) == (1, "")
    assert is_error(err, "made with trust=true ... --trust")
    evil = written(tmp_path / "evil", config={"runtime": {"openvino": {"_target_": "antigravity.Fly"}}})
    code, _, err = run(old, evil)
    assert (code, "antigravity" in sys.modules) == (1, False)
    assert is_error(err, "openvino._target_=antigravity.Fly ... trust=true")


def test_bad_input_is_one_sentence(tmp_path, run):
    good = written(tmp_path / "good")
    assert is_error(run(good, tmp_path / "none")[2], "results.json does not exist")
    early = written(tmp_path / "early", unfinished="it was stopped")
    assert is_error(run(good, early)[2], "early ended early (it was stopped)")
