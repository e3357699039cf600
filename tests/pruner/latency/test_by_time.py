"""A latency target from the table to the cut, on a clock that follows a formula of the widths."""

from types import SimpleNamespace

import pytest

from helpers.random_models import build
from optimize.errors import TargetOutOfReach
from optimize.input_size import square
from optimize.measure.profile import LayerTime, Profile
from optimize.pruner.l2 import L2
from optimize.pruner.latency import make, target, timing
from optimize.pruner.latency.deployment import Deployment
from optimize.pruner.latency.networks import traced
from optimize.pruner.latency.timing import Timed
from optimize.pruner.prune import prune
from optimize.pruner.settings import Pruning
from optimize.yolo.checkpoint import deployed as deploy
from optimize.yolo.checkpoint import save

SIZE = square(64)
REST, FIXED, PER_PAIR, PROFILING = 2.0, 0.01, 1e-5, 1.25


@pytest.fixture
def here(monkeypatch, tmp_path) -> Deployment:
    """Every layer takes `FIXED` + `PER_PAIR` times its widths, and the call `REST` more."""

    def of_layers(model) -> dict[str, float]:
        convolutions = {n: m for n, m in deploy(model).named_modules() if hasattr(m, "out_channels")}
        return {
            name: FIXED + PER_PAIR * conv.out_channels * conv.in_channels / conv.groups
            for name, conv in convolutions.items()
            if "dfl" not in name
        }

    def timed(runtime, networks, *conditions):
        milliseconds = [REST + sum(of_layers(model).values()) for model in networks]
        return Timed(milliseconds[0], tuple(ms / milliseconds[0] for ms in milliseconds[1:]), noise=0.0)

    def profiled(runtime, networks, threads):
        layers = [[LayerTime(n, PROFILING * ms, 0, 0, "int8") for n, ms in of_layers(m).items()] for m in networks]
        return tuple(Profile(tuple(one), calls=1) for one in layers)

    for module in make, target:
        monkeypatch.setattr(module, "deploy", lambda model, *_: model)
    monkeypatch.setattr(timing, "timed", timed)
    monkeypatch.setattr(timing, "profiled", profiled)
    conditions = {"threads": 2, "cpu": "a cpu", "recipe": "", "version": "1", "store": tmp_path}
    return Deployment("openvino", "int8", runtime=SimpleNamespace(), **conditions)


@pytest.mark.parametrize("scope", ["local", "global"])
def test_the_share_of_the_time_is_gone(here, scope):
    settings = Pruning(0.1, L2(), target="latency", scope=scope, round_to=4, min_width=1, deployment=here)
    report = prune(build("yolov8n").float(), SIZE, settings)
    assert report.reached == pytest.approx(0.1, abs=0.02)
    record = report.time
    assert record.predicted == pytest.approx(report.reached, abs=1e-6)  # the table knows the formula
    assert record.rest_ms == pytest.approx(REST, rel=1e-4)
    assert record.profiling == pytest.approx(PROFILING, rel=1e-4)
    assert record.worst < 1e-4
    before, after = record.milliseconds
    assert after == pytest.approx(before * (1 - report.reached))
    assert (record.deployment, record.networks, record.attempts) == ("openvino-int8", make.NETWORKS, 1)
    assert report.flops[1] < report.flops[0]


def test_a_share_beyond_what_widths_can_give_names_the_largest(here):
    settings = Pruning(0.9, L2(), target="latency", deployment=here)
    with pytest.raises(TargetOutOfReach, match=r"prune=0\.9 can't be reached.*timed and loses 0\.\d+ of the time"):
        prune(build("yolov8n").float(), SIZE, settings)


def test_the_share_of_several_cuts_is_of_the_original(here, tmp_path):
    model = build("yolov8n").float()
    save(model, tmp_path / "original.pt")
    common = {"target": "latency", "round_to": 4, "min_width": 1, "deployment": here}
    prune(model, SIZE, Pruning(0.05, L2(), original=tmp_path / "original.pt", **common))
    second = prune(model, SIZE, Pruning(0.1, L2(), original=tmp_path / "original.pt", **common))
    assert second.reached == pytest.approx(0.1, abs=0.02)


def test_a_table_of_another_device_is_pruned_for_without_a_clock(here, monkeypatch):
    model = build("yolov8n").float()
    samples = make.samples_of(traced(model, SIZE), SIZE, here, seed=0)
    monkeypatch.setattr(timing, "timed", lambda *_: pytest.fail("that device is not here"))
    there = Deployment(
        *("openvino", "int8", 4, "Raspberry Pi 5", "", "1"),
        runtime=None,
        store=here.store,
        table="0" * 64,
        samples=samples,
    )
    settings = Pruning(0.1, L2(), target="latency", round_to=4, min_width=1, deployment=there)
    report = prune(model, SIZE, settings)
    assert report.reached == report.time.predicted == pytest.approx(0.1, abs=0.02)
    assert (report.time.milliseconds, report.time.attempts) == (None, 0)
