"""A run that is killed at any moment and started again goes on where it stopped, and ends with the same numbers."""

import json
from pathlib import Path

import pytest

from helpers.commands import kill, start, until, wait_unread


def scores(folder: str) -> dict[tuple[str, str], tuple]:
    variants = json.loads((Path(folder) / "results.json").read_text())["results"]
    return {
        (v["variant"]["runtime"], v["name"]): (v["flops"], v["accuracy"]["metrics"], v["size_bytes"]) for v in variants
    }


def told(folder: Path) -> str:
    """What the logs of all runs say."""
    return "".join(log.read_text() for log in folder.glob("runs/*/optimize.log"))


@pytest.mark.long
def test_killed_three_times_it_ends_like_an_unbroken_run(tmp_path, dataset, checkpoint):
    words = (
        f"model={checkpoint}",
        f"data={dataset}",
        "rounds=12",
        "epochs=3",
        "batch=4",
        "runtime=[openvino]",
        "pruner=l2",
        "rivals=none",
    )
    unbroken, broken = tmp_path / "unbroken", tmp_path / "broken"
    unbroken.mkdir()
    broken.mkdir()
    out, _ = start(unbroken, *words, quick=True).communicate()
    for moment in "BatchNorm: made", "epoch 2 of 3", "Int8: made":
        run = start(broken, *words, quick=True)
        until(lambda moment=moment: moment in told(broken), moment)
        kill(run)
        wait_unread(run)
    assert not list(broken.glob("runs/*/results.json"))
    again, _ = start(broken, *words, quick=True).communicate()
    assert not list(broken.glob("runs/store/*.partial"))
    finished, wanted = (scores(printed.splitlines()[-1]) for printed in (again, out))
    assert {row: figures[:2] for row, figures in finished.items()} == {
        row: figures[:2] for row, figures in wanted.items()
    }
    for row, (*_, size) in wanted.items():  # OpenVINO numbers its constants through a process, and the digits vary
        assert finished[row][2] == pytest.approx(size, rel=0.001)
