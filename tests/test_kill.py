"""A run that is killed at any moment and started again goes on where it stopped, and ends with the same numbers."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest


def start(folder: Path, *words: str) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-m", "optimize", *words],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parent.parent)},
    )


def scores(folder: str) -> dict[tuple[str, str], tuple]:
    variants = json.loads((Path(folder) / "results.json").read_text())["results"]
    return {
        (v["variant"]["runtime"], v["name"]): (v["flops"], v["accuracy"]["metrics"], v["size_bytes"]) for v in variants
    }


@pytest.mark.slow
def test_killed_three_times_it_ends_like_an_unbroken_run(tmp_path, dataset, checkpoint):
    words = (
        f"model={checkpoint}",
        f"data={dataset}",
        "rounds=12",
        "epochs=3",
        "batch=4",
        "runtime=[openvino]",
        "rivals=none",
    )
    unbroken, broken = tmp_path / "unbroken", tmp_path / "broken"
    unbroken.mkdir()
    broken.mkdir()
    began = time.monotonic()
    out, _ = start(unbroken, *words).communicate()
    needed = time.monotonic() - began
    for share in (0.25, 0.3, 0.35):  # what is finished is found, so a later run is at another place at the same time
        run = start(broken, *words)
        time.sleep(share * needed)
        assert run.poll() is None
        os.killpg(run.pid, signal.SIGKILL)
        run.wait()
    assert not list(broken.glob("runs/*/results.json"))
    again, _ = start(broken, *words).communicate()
    assert not list(broken.glob("runs/store/*.partial"))
    finished, wanted = (scores(printed.splitlines()[-1]) for printed in (again, out))
    assert {row: figures[:2] for row, figures in finished.items()} == {
        row: figures[:2] for row, figures in wanted.items()
    }
    for row, (*_, size) in wanted.items():  # OpenVINO numbers its constants through a process, and the digits vary
        assert finished[row][2] == pytest.approx(size, rel=0.001)
