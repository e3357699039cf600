"""`--json`: one document alone on stdout with the figures of the tables, whose keys docs/json.md describes."""

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from helpers import ROOT, reports
from helpers.boards import device
from helpers.reports import row
from optimize import compare, reproduce
from optimize.bound.document import content as bound_content
from optimize.bound.pick import Candidate, Measured, misses
from optimize.device.bound import bounds
from optimize.errors import Differs
from optimize.flops import __main__ as flops
from optimize.flops.counting import count_sizes
from optimize.flops.files import content as flops_content
from optimize.input_size import square
from optimize.json_document import json_document
from optimize.limits import Limits
from optimize.measure.cost import Cost, Layer
from optimize.report import results
from optimize.store import __main__ as store
from optimize.store.contents import begin_store
from optimize.store.held import noting

MEASURED = Measured("runs/a", "a CPU", "int8", "openvino", "int8+fp32", 4.0, 1.0, 10**9, ("cpu", "int8"), -0.4, "mAP50")


def ran(module, monkeypatch, capsys, *words: str | Path) -> Any:
    """The document on stdout, the only text there."""
    monkeypatch.setattr(sys, "argv", ["command", *map(str, words), "--json"])
    module.main()
    return json.loads(capsys.readouterr().out)


def run_folder(folder: Path) -> Path:
    folder.mkdir()
    results.write(reports.report(provenance=reports.provenance(config={"trust": False})), folder / "results.json")
    return folder


def described(document: Any, command: str) -> None:
    """Check that the page describes every key of `document`, under the heading of its command."""
    page = (ROOT / "docs" / "json.md").read_text(encoding="utf-8")
    sections = {part.partition("\n")[0]: part for part in page.split("\n## ")}
    known = {*re.findall(r"`(\w+)`", sections[command]), "schema"}
    assert sorted(set(keys(document)) - known) == []


def keys(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        yield from node
    for child in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from keys(child)


def test_only_the_document_reaches_stdout(capsys):
    with json_document(True) as write:
        print("from a library")
        write({"flops": 2})
    out = capsys.readouterr()
    assert (json.loads(out.out), out.err) == ({"schema": 1, "flops": 2}, "from a library\n")
    with json_document(False):
        print("a table")
    assert capsys.readouterr().out == "a table\n"


def test_what_is_no_number_in_json_is_no_figure():
    with pytest.raises(ValueError), json_document(True) as write:
        write({"bound_ms": float("inf")})


def test_flops(capsys):
    flops.main(["model=yolov8n.yaml", "imgsz=64"], as_json=True)
    document = json.loads(capsys.readouterr().out)
    assert document == {"schema": 1, **flops_content(list(count_sizes("yolov8n.yaml", (64,), False)))}
    assert document["models"][0]["flops"] == sum(layer["flops"] for layer in document["models"][0]["layers"])
    described(document, "optimize.flops")


def test_bound():
    cost = Cost((Layer("a", "Conv2d", 10**9, 10**6, 4 * 10**6, 0, 0, 0, 5 * 10**8),), ())
    candidate, limits = Candidate("a.pt", square(640), cost, bounds(cost, device()), (MEASURED,)), Limits(latency_ms=3)
    document = json.loads(json.dumps(bound_content([candidate], device(), limits, ["a note"], ["take a.pt"])))
    (model,) = document["models"]
    assert (model["flops"], model["possible"], document["verdict"]) == (
        10**9,
        candidate.possible(limits),
        ["take a.pt"],
    )
    for shown, bound in zip(model["bounds"], candidate.bounds, strict=True):
        assert (shown["bound_ms"], shown["winograd_ms"]) == (bound.bound_ms, bound.winograd_ms)
        assert [layer["bound_ms"] for layer in shown["layers"]] == [layer.bound_ms for layer in bound.layers]
        assert shown["ruled_out"] == misses(cost, bound, limits)
    assert (model["measured"][0]["latency_ms"], model["measured"][0]["meets_limits"]) == (4.0, False)
    described(document, "optimize.bound")


def test_compare(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(compare, "_timed", lambda *_: (None, "nothing is timed here"))
    old, new = run_folder(tmp_path / "old"), run_folder(tmp_path / "new")
    document = ran(compare, monkeypatch, capsys, old, new)
    (first,) = document["rows"]
    figures = {figure["figure"]: figure for figure in first["figures"]}
    chosen = next(
        r
        for r in reports.report().results
        if r.variant.name == first["variant"] and r.variant.runtime == first["runtime"]
    )
    assert figures["GFLOPs"]["old"] == figures["GFLOPs"]["new"] == chosen.flops / 1e9
    assert figures["speed-up"]["old"] == chosen.time.speedup
    assert (figures["mAP50-95"]["old"], document["worse"]) == (chosen.accuracy.score, [])
    described(document, "optimize.compare")


def test_the_document_is_printed_where_something_is_worse(tmp_path, monkeypatch, capsys):
    old, new = run_folder(tmp_path / "old"), tmp_path / "new"
    new.mkdir()
    only = reports.report(results=(row("original", "torch", "fp32", 1.0, 0.6, 20.0),))
    results.write(only, new / "results.json")
    with pytest.raises(Differs):
        ran(compare, monkeypatch, capsys, old, new)
    document = json.loads(capsys.readouterr().out)
    assert (document["rows"][0]["figures"], document["worse"]) == (None, ["int8 on OpenVINO: it is missing."])


def test_reproduce(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(reproduce, "changed_files", lambda _: [])
    monkeypatch.setattr(reproduce, "time_again", lambda old: old)
    document = ran(reproduce, monkeypatch, capsys, run_folder(tmp_path / "run"), "--timing")
    for shown, result in zip(document["rows"], reports.report().results, strict=True):
        assert shown["then"] == shown["now"]
        assert (shown["then"]["flops"], shown["then"]["accuracy"]) == (result.flops, result.accuracy.score)
        assert shown["then"]["median_ms"] == result.time.median_ms
    assert document["differences"] == []
    described(document, "optimize.reproduce")


def test_store(tmp_path, monkeypatch, capsys):
    place, runs = tmp_path / "store", tmp_path / "runs"
    (runs / "a").mkdir(parents=True)
    with noting(runs / "a"):
        begin_store(place)
    (place / "0123456789abcdef.accuracy.json").write_bytes(b"12345")
    words = ("--store", place, "--runs", runs)
    document = ran(store, monkeypatch, capsys, *words)
    whole = document["all"]
    assert (whole["bytes_unused"], whole["bytes"] - whole["bytes_used"]) == (5, 5)
    described(document, "optimize.store")
    document = ran(store, monkeypatch, capsys, *words, "--clear")
    assert document["deleted"] == {"files": 1, "locks": 0, "bytes": 5}
    described(document, "optimize.store")
