"""What is printed reaches consoles whose code page has no box-drawing characters; text files are UTF-8 everywhere."""

import io
import sys
from dataclasses import replace

import pytest
import yaml

from helpers import reports, sweeps
from optimize.config import CONF
from optimize.errors import InputError
from optimize.flops import __main__ as flops
from optimize.report import table
from optimize.sentences import one_sentence
from optimize.store import __main__ as store
from optimize.sweep.summary import table as sweep_table

LETTERS = "café ± ² → 人"


def report():
    provenance = reports.provenance(task="detect")
    return reports.report(provenance=replace(provenance, remarks=(f"Classes are {LETTERS}.",)))


def show_sweep(tmp_path) -> None:
    sweep_table.show(sweeps.put(tmp_path / "s", {0: (f"model={LETTERS}.pt", report())}, 1))


def refuse(_) -> None:
    raise InputError(f"model={LETTERS} does not exist; give another.")


PRINTED = {
    "run": (lambda _: table.show(report()), "variant"),
    "sweep": (show_sweep, "variant"),
    "flops": (lambda _: flops.main(["model=yolov8n.yaml", "imgsz=64"]), "GFLOPs"),
    "store": (lambda _: store.main(), "all"),
    "error": (refuse, ""),
}


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "cp437", "gbk", "utf-8"])
@pytest.mark.parametrize("kind", PRINTED)
def test_every_table_and_sentence_is_printed_whatever_the_code_page(kind, encoding, tmp_path, monkeypatch):
    show, word = PRINTED[kind]
    out, err = io.BytesIO(), io.BytesIO()
    monkeypatch.setattr(sys, "argv", ["store", "--store", str(tmp_path), "--runs", str(tmp_path)])
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(out, encoding))
    monkeypatch.setattr(sys, "stderr", io.TextIOWrapper(err, encoding, errors="backslashreplace"))
    try:
        with one_sentence():
            show(tmp_path)
    except SystemExit as stop:
        assert (kind, stop.code) == ("error", 1)
    sys.stdout.flush()
    sys.stderr.flush()
    printed, said = out.getvalue().decode(encoding), err.getvalue().decode(encoding)
    assert (word in printed and len(printed.splitlines()) > 3) or kind == "error"
    assert kind != "error" or said.startswith("error: model=caf")
    assert ("│" in printed) == (encoding == "utf-8" and kind != "error"), "a frame of letters that the code page has"


def test_the_log_of_a_run_is_utf_8_whatever_the_locale(tmp_path):
    settings = yaml.safe_load((CONF / "hydra/job_logging/optimize.yaml").read_text(encoding="utf-8"))
    assert settings["handlers"]["file"]["encoding"] == "utf-8"
