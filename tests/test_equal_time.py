"""Rivals at equal time: which rows they are sought for, where the search begins, and the two inputs that it finds."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from helpers import reports
from helpers.commands import command
from optimize import equal_time, pipeline
from optimize.equal_time import Target, bracket, estimate, targets
from optimize.input_size import square
from optimize.measure import latency
from optimize.measure.latency import Timing
from optimize.sweep import end, rivals


@pytest.mark.parametrize(
    ("times", "milliseconds", "pixels"),
    [
        ({400: 8.0}, 2.0, 100),  # time as the area
        ({400: 9.0, 100: 3.0}, 5.0, 200),  # 1 ms whatever the size
        ({400: 9.0, 100: 9.5}, 2.25, 100),  # noise: a smaller input does not take longer
        ({400: 9.0, 100: 3.0}, 0.5, -25),  # nothing is so fast
    ],
)
def test_the_first_estimate_is_a_line_over_the_area(times, milliseconds, pixels):
    assert estimate(times, milliseconds) == pytest.approx(pixels)


def test_they_are_sought_for_the_fastest_row_of_each_runtime_in_its_precision():
    found = targets(reports.report())
    assert [(t.row.variant.name, t.row.variant.runtime, t.precision) for t in found] == [
        ("pruned+int8", "onnxruntime", "int8"),
        ("pruned+int8", "openvino", "int8"),
        ("int8", "openvino", "fp32"),  # the verdict's; only quantized, so its rival is a float file
    ]
    assert [list(t.times) for t in found] == [[96**2, 64**2]] * 3


def test_what_is_not_faster_than_the_original_needs_no_rival():
    report = reports.report()
    slow = [
        replace(row, latency=replace(row.latency, median_ms=99.0)) if row.variant.name == "pruned+int8" else row
        for row in report.results
    ]
    found = targets(replace(report, results=tuple(slow)))
    assert {t.row.variant.name for t in found} == {"int8"}


@pytest.mark.parametrize(
    ("milliseconds", "sides"),
    [
        (4.0, [160, 192]),
        (3.9, [128, 160]),
        (0.1, [32, 64]),  # nothing is as fast; the smallest is the nearest
        (15.9, [288]),  # the next larger one is the original itself
        (1.0, [64, 96]),
    ],
)
@pytest.mark.parametrize("known", [{320**2: 16.0}, {320**2: 16.0, 192**2: 14.0}])
def test_two_inputs_bracket_the_time(milliseconds, sides, known, monkeypatch):
    """An input of side s takes 4 * (s / 160)^2 milliseconds."""

    def at_size(plan, runtime, precision, size):
        return SimpleNamespace(variant=SimpleNamespace(imgsz=size))

    def time(variants):
        own = SimpleNamespace(median_ms=milliseconds)
        others = [SimpleNamespace(median_ms=4 * variant.imgsz.pixels / 160**2) for variant in variants[1:]]
        return SimpleNamespace(latencies=[own, *others])

    monkeypatch.setattr(equal_time, "at_size", at_size)
    monkeypatch.setattr(equal_time, "load", lambda path: None)
    monkeypatch.setattr(equal_time, "stride", lambda model: 32)
    row = reports.row("pruned", "openvino", "int8", 0.7, 0.6, milliseconds)
    plan = SimpleNamespace(original=SimpleNamespace(path=None, imgsz=square(320)))
    assert bracket(Target(row, "int8", known), plan, SimpleNamespace(time=time)) == [square(side) for side in sides]


def by_area(subjects, threads, rounds, seed, references=None, seconds=0.0, frames=()):
    """In place of `latency.measure`: milliseconds follow from the input, and a pruned model takes a fifth of them."""
    known = reports.row("original", "torch", "fp32", 1.0, 0.6, 1.0).latency
    times = [
        variant.imgsz.pixels / 1e3 * (0.2 if "pruned" in variant.tags else 1.0) + threads for _, variant in subjects
    ]
    names = [(variant.name, variant.runtime) for _, variant in subjects]
    first = [
        times[names.index(("original", runtime))] if ("original", runtime) in names else time
        for (_, runtime), time in zip(names, times, strict=True)
    ]
    own = [
        replace(known, median_ms=time, q1_ms=time, q3_ms=time, speedup=other / time)
        for time, other in zip(times, first, strict=True)
    ]
    return Timing(tuple(own), 0.0, 0.0, rounds)


WORDS = ("imgsz=96", "prune=0.3", "pruner=l2", "recover=[bn]", "rounds=12", "threads=1", "epochs=0", "quant=none")


@pytest.fixture
def started(tmp_path, dataset, checkpoint, monkeypatch, capsys):
    """Start a run or a sweep whose times follow from inputs; gives its folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(latency, "measure", by_area)
    monkeypatch.setattr(pipeline, "with_rivals", equal_time.with_rivals)  # conftest leaves these rivals out
    monkeypatch.setattr(end, "with_rivals", rivals.with_rivals)

    def start(*words: str, sweep: bool = False) -> Path:
        given = f"model={checkpoint}", f"data={dataset}", *WORDS, "runtime=[onnxruntime]"
        code, out, err = command(monkeypatch, capsys, *(["-m"] if sweep else []), *given, *words)
        assert code == 0, err
        return Path(out.splitlines()[-1])

    return start


def rows(folder: Path) -> dict[str, dict]:
    found = json.loads((folder / "results.json").read_text())["results"]
    return {row["name"]: row for row in found if row["variant"]["runtime"] == "onnxruntime"}


@pytest.mark.command
def test_a_run_measures_the_two_inputs_that_take_as_long_as_what_it_made(started):
    folder = started()
    found = rows(folder)
    assert list(found) == ["original", "pruned", "64px", "32px"]  # 64 px is that of equal FLOPs as well
    assert [row["rival"] for row in found.values()] == [False, False, True, True]
    faster, slower = found["32px"]["latency"], found["64px"]["latency"]
    assert faster["median_ms"] <= found["pruned"]["latency"]["median_ms"] < slower["median_ms"]
    assert found["32px"]["accuracy"]["images"] == 8
    report = (folder / "report.md").read_text()
    assert "## Rivals at equal time" in report
    assert "| ONNX Runtime | pruned | 32px | 32 |" in report


@pytest.mark.command
def test_a_sweep_measures_them_for_the_best_of_all_jobs(started):
    folder = started("prune=0.2,0.3", "hydra.sweep.dir=s", sweep=True)
    first, second = (rows(folder / job) for job in "01")
    assert sorted([list(first), list(second)]) == sorted(
        [["original", "pruned", "64px", "32px"], ["original", "pruned", "64px"]]
    )
    own = first if "32px" in first else second
    assert own["32px"]["latency"]["speedup"] == pytest.approx((96**2 / 1e3 + 1) / (32**2 / 1e3 + 1))
    assert own["32px"]["latency"]["median_ms"] == pytest.approx(32**2 / 1e3 + 1)


@pytest.mark.command
def test_rivals_that_are_trained_as_long_have_rows_of_their_own(started):
    found = rows(started("train_rivals=true", "epochs=1", "recover=[bn,finetune]", "batch=4"))
    assert {"32px", "32px+trained"} <= found.keys()
    assert found["32px"]["sha256"] != found["32px+trained"]["sha256"]


@pytest.mark.command
def test_where_nothing_is_trained_no_rival_is(started):
    folder = started("train_rivals=true")
    assert list(rows(folder)) == ["original", "pruned", "64px", "32px"]
    assert (
        "- No rival is trained (train_rivals=true), since the pruned model, which they follow, is not."
        in (folder / "report.md").read_text()
    )
