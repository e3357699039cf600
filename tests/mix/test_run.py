"""`prune=null` from the command line to the report, on a clock by which time follows from size of file and input."""

from types import SimpleNamespace

import pytest

from helpers.commands import command
from helpers.messages import is_error, says
from optimize.input_size import square
from optimize.latency_work import Mixed
from optimize.mix import mix as module
from optimize.mix import originals, way
from optimize.pruner.latency import make, timing
from optimize.pruner.latency.timing import Timed
from optimize.report.results import read
from optimize.work import Pruned

WORDS = ("runtime=[onnxruntime]", "pruner=l2", "recover=[bn]", "epochs=0", "rounds=12", "threads=1", "quant=none")
WHOLE = 10.0  # milliseconds of the original


@pytest.fixture
def optimize(tmp_path, dataset, checkpoint, monkeypatch, capsys):
    def timed(runtime, networks, *conditions):
        work = [network.path.stat().st_size * network.imgsz.pixels for network in networks]
        return Timed(WHOLE, tuple(one / work[0] for one in work[1:]), noise=0.01)

    for place in timing, way:
        monkeypatch.setattr(place, "timed", timed)
    latencies = [SimpleNamespace(median_ms=WHOLE)]
    monkeypatch.setattr(originals, "steady", lambda measure: SimpleNamespace(latencies=latencies))
    monkeypatch.setattr(timing, "profiled", lambda runtime, networks, threads: (None,) * len(networks))
    monkeypatch.setattr(make, "NETWORKS", 6)
    monkeypatch.chdir(tmp_path)
    given = f"model={checkpoint}", f"data={dataset}", *WORDS
    return lambda *words: command(monkeypatch, capsys, *given, *words)


def stage(run, kind):
    return next((stage for stage in read(run / "results.json").stages if isinstance(stage, kind)), None)


@pytest.mark.command
def test_the_smaller_input_or_the_cut_is_made_and_reported(optimize, tmp_path, monkeypatch):
    """32 px take a quarter of the time; accuracies are 0 here, and then the least changed is taken."""
    words = "prune=null", "limits.latency_ms=8", "hydra.run.dir=small"
    code, out, err = optimize(*words, "plan=true")
    assert code == 0 and says(out, "Mix"), err
    code, _, err = optimize(*words)
    assert code == 0, err
    mixed = stage(tmp_path / "small", Mixed)
    assert (mixed.deployment, mixed.imgsz, mixed.share, mixed.trained) == ("onnxruntime-fp32", square(32), 0, False)
    small, whole = mixed.candidates
    assert (small.imgsz, whole.imgsz, whole.milliseconds) == (square(32), square(64), WHOLE)
    assert small.milliseconds == pytest.approx(WHOLE / 4, rel=1e-3)
    assert whole.share == round(1 - mixed.aimed_ms / WHOLE, 3)
    rows = {(row.variant.name, row.variant.runtime): row for row in read(tmp_path / "small/results.json").results}
    assert rows.keys() == {(name, runtime) for name in ("original", "32px") for runtime in ("torch", "onnxruntime")}
    assert not rows["32px", "onnxruntime"].rival
    text = (tmp_path / "small/report.md").read_text(encoding="utf-8")
    assert "## What was chosen for 8 ms" in text and "Chosen: onnxruntime-fp32, an input of 32 px, not trained." in text
    assert "The original took 10.00 ms in onnxruntime-fp32 when this was chosen, and" in text  # a made-up clock

    monkeypatch.setattr(module, "best", lambda candidates: (square(64), candidates[1].share, True))
    code, _, err = optimize("prune=null", "limits.latency_ms=8.5", "hydra.run.dir=cut", "pruner.round_to=4")
    assert code == 0, err
    cut = stage(tmp_path / "cut", Pruned)
    assert cut.reached == pytest.approx(1 - 8.5 * 0.97 / WHOLE, abs=0.02)
    text = (tmp_path / "cut/report.md").read_text(encoding="utf-8")
    assert "| widths and blocks | -1" in text and "## Latency target" in text
    code, out, err = optimize("prune=null", "limits.latency_ms=8.5", "pruner.round_to=4", "plan=true")
    assert code == 0, err
    assert [line.split("│")[2:4] for line in out.splitlines() if "Prune" in line] == [[" " * 5 + "1 ", " " * 5 + "1 "]]


@pytest.mark.command
def test_an_original_that_meets_the_limit_is_left_as_it_is(optimize, tmp_path):
    code, _, err = optimize("prune=null", "limits.latency_ms=10.5", "hydra.run.dir=run", "rivals=none")
    assert code == 0, err
    mixed = stage(tmp_path / "run", Mixed)
    assert (mixed.imgsz, mixed.share, mixed.candidates) == (square(64), 0, ())
    assert {row.variant.name for row in read(tmp_path / "run/results.json").results} == {"original"}
    text = (tmp_path / "run/report.md").read_text(encoding="utf-8")
    assert "The original meets the limit in onnxruntime-fp32, so nothing was pruned, trained or made smaller." in text


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("prune=null",), "prune=null chooses ... there is none; give limits.latency_ms, e.g. 20, or a share to prune"),
        (("prune=null", "limits.latency_ms=5", "pruner.target=params"), "pruner.target=params can't be combined"),
        (("prune=null", "limits.latency_ms=5", "runtime=[]"), "needs a runtime to measure in; give one, e.g. runtime="),
        (("prune=null", "limits.latency_ms=5", "pruner.deploy=openvino-int8"), "pruner.deploy=openvino-int8 is not a"),
        (("prune=null", "limits.latency_ms=0"), "limits.latency_ms=0 is not allowed; give more than 0"),
    ],
)
def test_what_can_not_be_chosen_is_one_sentence(optimize, tmp_path, words, sentence):
    code, _, err = optimize(*words)
    assert code == 1
    assert is_error(err.splitlines()[-1], sentence)
    assert not list(tmp_path.glob("runs/*/results.json"))


@pytest.mark.command
def test_a_limit_that_nothing_meets_names_what_is_reachable(optimize):
    code, _, err = optimize("prune=null", "limits.latency_ms=0.5", "hydra.run.dir=run")
    assert code == 1
    assert is_error(
        err.splitlines()[-1],
        "limits.latency_ms=0.5 can't be reached: in onnxruntime-fp32 ... 2.50 ms ... 32 px; give a larger",
    )
