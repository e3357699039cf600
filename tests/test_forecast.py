"""What a run tells before it works, and `plan=true`, which tells it and stops."""

import pytest

from helpers.commands import command
from helpers.messages import is_error, says
from optimize.forecast import time_in_words
from optimize.pruner.latency import make, timing
from optimize.pruner.latency.timing import Timed
from optimize.report.results import read
from optimize.work import Pruned

WORDS = ("prune=0.3", "pruner=l2", "recover=[bn]", "epochs=0", "rounds=12", "threads=1", "rivals=none", "quant=none")


def cells(out: str) -> dict[str, list[str]]:
    """The cells of each row of the printed table, by its first."""
    rows = [[cell.strip() for cell in line.strip().strip("│┃").split("│")] for line in out.splitlines() if "│" in line]
    return {first: others for first, *others in rows}


@pytest.mark.command
def test_the_plan_alone_makes_nothing_and_a_run_that_follows_it_is_known_afterwards(
    tmp_path, dataset, checkpoint, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    given = (f"model={checkpoint}", f"data={dataset}", "runtime=[onnxruntime]", *WORDS)
    before = sorted(tmp_path.rglob("*"))
    code, out, err = command(monkeypatch, capsys, *given, "hydra.run.dir=run", "plan=true")
    assert (code, sorted(tmp_path.rglob("*"))) == (0, before), err
    assert says(out, "no record yet of a run on this machine")
    rows = cells(out)
    assert rows["Prune"] == ["1", "0", "-", "-"]
    assert rows["BatchNorm"] == ["1", "0", "-", "-"]
    assert rows["OnnxRuntime.export"] == ["2", "0", "-", "-"]
    assert rows["validation"][:2] == rows["timing"][:2] == ["4", "0"] or rows["validation"][0] >= "4"
    assert "Finetune" not in rows and "rivals" not in rows

    code, _, err = command(monkeypatch, capsys, *given, "hydra.run.dir=run")
    assert code == 0, err
    assert "no record yet of a run on this machine" in err
    code, out, err = command(monkeypatch, capsys, *given, "hydra.run.dir=other", "plan=true")
    assert code == 0, err
    assert says(out, "over 1 earlier runs on this machine")
    again = cells(out)
    for stage in ("Prune", "BatchNorm", "OnnxRuntime.export", "validation"):
        assert again[stage] == [rows[stage][0], rows[stage][0], "0 s", "0.0"]
    assert again["timing"][2] != "-"
    assert not (tmp_path / "other").exists()

    code, out, err = command(monkeypatch, capsys, *given, "prune=0.5", "hydra.run.dir=other", "plan=true")
    assert code == 0, err
    more = cells(out)
    assert more["Prune"][1] == "0" and more["Prune"][2] != "-"
    assert more["OnnxRuntime.export"][:2] == ["2", "1"]


@pytest.mark.command
def test_a_run_for_milliseconds_from_the_plan_to_the_report(tmp_path, dataset, checkpoint, monkeypatch, capsys):
    """On a clock by which a file takes as long as it is large; the table is made once, and what it took is known."""

    def timed(runtime, networks, *conditions):
        sizes = [network.path.stat().st_size for network in networks]
        return Timed(10.0, tuple(size / sizes[0] for size in sizes[1:]), noise=0.01)

    monkeypatch.setattr(timing, "timed", timed)
    monkeypatch.setattr(timing, "profiled", lambda runtime, networks, threads: (None,) * len(networks))
    monkeypatch.setattr(make, "NETWORKS", 6)
    monkeypatch.chdir(tmp_path)
    given = (f"model={checkpoint}", f"data={dataset}", "runtime=[onnxruntime]", *WORDS, "pruner.target=latency")
    code, _, err = command(monkeypatch, capsys, *given, "hydra.run.dir=run", "pruner.round_to=4", "pruner.min_width=1")
    assert code == 0, err
    assert {first: row[:2] for first, row in cells(err).items()}["latency-table"] == ["1", "0"]
    (cut,) = [stage for stage in read(tmp_path / "run/results.json").stages if isinstance(stage, Pruned)]
    assert cut.reached == pytest.approx(0.3, abs=0.02)
    assert (cut.target, cut.time.deployment, cut.time.profiling) == ("latency", "onnxruntime-fp32", None)
    assert "## Latency target" in (tmp_path / "run/report.md").read_text(encoding="utf-8")
    code, out, err = command(monkeypatch, capsys, *given, "prune=0.2", "hydra.run.dir=other", "plan=true")
    assert code == 0, err
    assert cells(out)["latency-table"] == ["1", "1", "0 s", "0.0"]
    assert cells(out)["Prune"][1] == "0" and cells(out)["Prune"][2] != "-"


@pytest.mark.command
def test_a_sweep_has_no_plan(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    code, _, err = command(monkeypatch, capsys, "-m", "prune=0.1,0.2", "plan=true")
    assert code == 1
    assert is_error(err, "plan=true tells what one run will do ... a sweep ... leave it out")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("seconds", "text"), [(None, "-"), (0.4, "0 s"), (59.6, "1 min 00 s"), (200, "3 min 20 s"), (7260, "2 h 01 min")]
)
def test_times_are_told_in_words(seconds, text):
    assert time_in_words(seconds) == text
