"""How benchmarks/aarch64.py compares what two machines find; the emulation itself is left to the script."""

import runpy
import sys

import pytest

from helpers import ROOT

pytestmark = pytest.mark.command

SCRIPT = ROOT / "benchmarks/aarch64.py"


@pytest.fixture(scope="module")
def script():
    path = list(sys.path)
    yield runpy.run_path(str(SCRIPT))
    sys.path[:] = path


def box(kind: int, confidence: float, left: float, top: float) -> dict:
    return {"class": kind, "confidence": confidence, "box": [left, top, left + 10, top + 20]}


def test_boxes_are_put_beside_the_nearest_of_their_class_once(script):
    here = {"a": [box(0, 0.9, 0, 0), box(0, 0.8, 2, 0), box(1, 0.7, 50, 50)], "b": [box(1, 0.6, 0, 0)], "c": []}
    there = {
        "a": [box(0, 0.875, 2.5, 0), box(0, 0.9, 0, 0.25), box(0, 0.7, 50, 50)],  # the last is of another class
        "b": [box(1, 0.6, 5, 0)],  # farther than half of its width
        "c": [box(2, 0.5, 1, 1)],
    }
    found = script["different"](here, there)
    assert (found.boxes, found.matched, found.more) == (4, 2, 3)
    assert (found.pixels, found.confidence) == (0.5, pytest.approx(0.075))


def test_without_an_emulator_it_says_so(script, monkeypatch, capsys, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "argv", ["aarch64.py", "--folder", str(tmp_path / "new")])
    script["main"]()
    said = capsys.readouterr().out
    assert said.startswith("skipped: qemu-aarch64-static, apt-get, dpkg is not here") and list(tmp_path.iterdir()) == []
