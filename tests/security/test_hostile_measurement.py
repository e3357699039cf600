"""A stranger's measurement.json leaves the run as it was, or is drawn: it never kills a run for ever."""

import json
import sys
from dataclasses import asdict
from pathlib import Path

import pytest

from helpers.results_cases import MEASUREMENT, content, whole
from optimize import import_measurement
from optimize.errors import InputError
from optimize.report import draw, results


def bring(monkeypatch, capsys, run: Path, said: dict | str) -> tuple[int, str]:
    """Exit code and stderr of the command."""
    file = run.parent / "measurement.json"
    file.write_text(said if isinstance(said, str) else json.dumps(said))
    monkeypatch.setattr(sys, "argv", ["import_measurement", str(run), str(file)])
    code = 0
    try:
        import_measurement.main()
    except SystemExit as stop:
        code = stop.code
    return code, capsys.readouterr().err


@pytest.fixture
def run(tmp_path) -> Path:
    (tmp_path / "run").mkdir()
    content(whole(), tmp_path / "run")
    return tmp_path / "run"


CONTROLS = ["\x00", "\x07", "\x1b[2J", "\x7f", "\x9b", "\ufffe", "\uffff", "\u202e", "\u2028", "a\nb", "x" * 2000]
WRONG = [
    *({"device": f"a{control}b"} for control in CONTROLS),
    *({name: "\x1b"} for name in ("run", "cpu", "system", "arithmetic", "began")),
    {"versions": {"\x1b": "1"}},
    {"versions": {"numpy": "\x1b"}},
    {"median_ms": 1e300, "q3_ms": 1e300, "p95_ms": 1e300},
    {"noise": 1e300},
    {"temperature_c": [1e300, None]},
    {"imgsz": -5},
    {"cores": 10**100},
    {"q1_ms": 5e-324},
    {"runtime": "tpu"},
]


@pytest.mark.parametrize("change", WRONG, ids=lambda change: ascii(change)[:30])
def test_what_no_bench_wrote_is_one_sentence_and_the_run_stays(run, monkeypatch, capsys, change):
    before = {path.name: path.read_bytes() for path in run.iterdir()}
    code, error = bring(monkeypatch, capsys, run, asdict(MEASUREMENT) | change)
    assert code == 1 and error.startswith("error: ") and error.count("\n") == 1, error
    assert "\x1b" not in error
    assert {path.name: path.read_bytes() for path in run.iterdir()} == before


@pytest.mark.parametrize("text", ["[" * 100_000, '{"device": "\\ud800"}', "null", '{"schema": 1e999}'])
def test_what_is_no_measurement_is_one_sentence(run, monkeypatch, capsys, text):
    code, error = bring(monkeypatch, capsys, run, text)
    assert code == 1 and error.startswith("error: ") and error.count("\n") == 1


def test_a_drawing_that_fails_leaves_results_json_as_it_was(run, monkeypatch, capsys):
    before = (run / "results.json").read_bytes()

    def fails(report, path):
        raise InputError("it can't be drawn.")

    monkeypatch.setattr("optimize.report.chart_image.write", fails)
    code, _ = bring(monkeypatch, capsys, run, asdict(MEASUREMENT) | {"threads": 1})
    assert code == 1
    assert {path.name: path.read_bytes() for path in run.iterdir()} == {"results.json": before}


def test_a_run_that_holds_control_characters_already_is_drawn(tmp_path):
    """The drawing library would end the process over them."""
    found = content(whole(), tmp_path)
    found["measurements"][0] |= {"device": "a\x00\x1b\ufffe"}
    found["results"][1]["variant"]["tags"] = ["pr\x01uned", "int8"]
    found["blocks"]["model.0"] = "Co\x02nv"
    (tmp_path / "results.json").write_text(json.dumps(found))
    draw(results.read(tmp_path / "results.json"), tmp_path)
    for name in ("report.md", "report.html"):
        text = (tmp_path / name).read_text()
        assert r"a\x00\x1b\ufffe" in text and "\x1b" not in text and "\x00" not in text
