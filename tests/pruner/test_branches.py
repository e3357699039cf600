"""Branches go together with channels: exactly what was calculated goes, and the outputs are those without both."""

from copy import deepcopy
from itertools import product

import numpy as np
import pytest
from torch import nn

from helpers.masking import Case, difference, masked, raw
from helpers.random_models import build
from optimize.errors import InputError, TargetOutOfReach
from optimize.input_size import square
from optimize.measure.operations import count
from optimize.pruner.blocks import blocks
from optimize.pruner.budget import Goal
from optimize.pruner.l2 import L2
from optimize.pruner.prune import prune
from optimize.pruner.selection import Selection, counted, narrow, select
from optimize.pruner.sensitivity import Sensitivities, Sensitivity
from optimize.pruner.settings import Pruning
from optimize.pruner.size import TARGETS, amount
from optimize.pruner.tracker import trace
from optimize.yolo import coupling
from optimize.yolo.checkpoint import deployed
from optimize.yolo.depth import bypass, removable

SIZE = square(64)


def scanned(model: nn.Module, cheap: str = "") -> Sensitivities:
    """Every block narrows at some cost; branches whose names hold `cheap` go at none, others at a large one."""
    traced = trace(coupling.traceable(model), SIZE, coupling.RULES, coupling.HALVING, coupling.predictions)
    rng = np.random.default_rng(0)
    of_blocks = [
        Sensitivity(None, (), ())
        if block.frozen or block.units < 4
        else Sensitivity(tuple(rng.random(block.units)), (1, block.units // 2), (rng.uniform(1, 2), rng.uniform(0, 1)))
        for block in blocks(traced)
    ]
    branches = {branch.name: 1e-6 if cheap in branch.name else 1e6 for branch in removable(model)}
    return Sensitivities(tuple(of_blocks), branches)


def chosen_for(
    model: nn.Module, sensitivities: Sensitivities, target: str = "flops", share: float = 0.4, **more: object
) -> Selection:
    common = {"scope": "measured", "data": object(), "round_to": 4, "min_width": 1, "depth": True, "target": target}
    settings = Pruning(share, L2(), **common | more)
    cost = count(deployed(model), SIZE)
    now = amount(target, deployed(model), cost)
    sizing = counted(model, cost, target, now)
    return select(model, SIZE, settings, Goal(target, now, share), sizing, sensitivities)


FAMILIES = "yolov5n", "yolov8n", "yolov10n", "yolo11n", "yolo12n", "yolo26n"


@pytest.mark.parametrize(
    ("name", "target"),
    [*product(FAMILIES, TARGETS), ("yolov9t", "flops")],  # it has most branches
)
def test_what_is_left_is_what_was_calculated(name, target):
    model = build(name).float()
    chosen = chosen_for(model, scanned(model, "m.0"), target, share=0.6)
    assert chosen.branches
    assert sum((~keep).sum() for keep in chosen.keep)
    narrow(model, chosen)
    left = amount(target, deployed(model), count(deployed(model), SIZE))
    assert left == pytest.approx(chosen.left, rel=1e-12)


@pytest.mark.parametrize("name", ["yolov8n", "yolo11n", "yolo26n"])
def test_outputs_are_those_with_masked_channels_and_bypassed_branches(name):
    dense = build(name)
    chosen = chosen_for(dense, scanned(dense))
    pruned = deepcopy(dense)
    narrow(pruned, chosen)
    without = masked(Case(name, dense, pruned, chosen))
    with bypass(without, [branch.name for branch in chosen.branches]):
        expected = raw(without, (64, 64))
    assert difference(raw(pruned, (64, 64)), expected) <= 1e-9
    assert difference(raw(masked(Case(name, dense, pruned, chosen)), (64, 64)), expected) > 1e-3


def test_branches_go_where_the_loss_rises_least_and_stay_where_they_are_protected_or_not_asked_for():
    model = build("yolov8n").float()
    assert {branch.name for branch in chosen_for(model, scanned(model, "model.6.m")).branches} == {
        "model.6.m.0",
        "model.6.m.1",
    }
    kept = chosen_for(model, scanned(model, "model.6.m"), protect=("model.6.m.1.*",))
    assert {branch.name for branch in kept.branches} == {"model.6.m.0"}
    assert chosen_for(model, scanned(model), depth=False).branches == ()


def test_the_report_shows_a_removed_layer_with_no_width():
    model = build("yolov8n").float()
    settings = Pruning(0.4, L2(), scope="measured", round_to=4, min_width=1, depth=True, data=object())
    report = prune(model, SIZE, settings, scanned(model, "model.6.m"))
    gone = {layer.name: layer for layer in report.layers if layer.width[1] == 0}
    assert set(gone) == {f"model.6.m.{i}.cv{j}.conv" for i in (0, 1) for j in (1, 2)}
    assert all(layer.flops[1] == layer.parameters[1] == 0 and not layer.dense for layer in gone.values())
    assert len(model.model[6].m) == 0
    assert report.reached == pytest.approx(0.4, abs=0.003)


def test_the_report_follows_the_layers_that_are_renumbered():
    """model.4.m.1 becomes model.4.m.0; what no layer holds, the box decoding, is the same before and after."""
    model = build("yolov8n").float()
    settings = Pruning(0.4, L2(), scope="measured", round_to=4, min_width=1, depth=True, data=object())
    report = prune(model, SIZE, settings, scanned(model, "model.4.m.0"))
    layers = {layer.name: layer for layer in report.layers}
    assert layers["model.4.m.0.cv1.conv"].flops[1] == 0
    stays = layers["model.4.m.1.cv1.conv"]
    assert (model.model[4].m[0].cv1.conv.out_channels, len(model.model[4].m)) == (stays.width[1], 1)
    assert stays.flops[1] == 2 * 9 * 8 * 8 * model.model[4].m[0].cv1.conv.in_channels * stays.width[1]
    for figure in ("flops", "parameters"):
        before, after = (sum(getattr(layer, figure)[i] for layer in report.layers) for i in (0, 1))
        assert getattr(report, figure)[0] - before == getattr(report, figure)[1] - after


def test_branches_go_by_default_only_for_milliseconds():
    assert [Pruning(0.3, L2(), target=target).removes_branches for target in (*TARGETS, "latency")] == [0, 0, 0, 1]
    assert not Pruning(0.3, L2(), target="latency", depth=False).removes_branches
    assert not Pruning(0.3, L2(), target="latency", steps=2).removes_branches
    with pytest.raises(InputError, match=r"pruner\.depth=true.*pruner\.steps=2"):
        Pruning(0.3, L2(), depth=True, steps=2, scope="measured", data=object())
    with pytest.raises(InputError, match=r"pruner\.depth=true needs pruner\.scope=measured.*scope is local"):
        Pruning(0.3, L2(), depth=True)


def test_out_of_reach_counts_branches_too():
    model = build("yolov8n").float()
    with pytest.raises(TargetOutOfReach):
        chosen_for(model, scanned(model), max_ratio=0.1, depth=False)
    with pytest.raises(TargetOutOfReach, match=r"at most 0\.[23]"):
        chosen_for(model, scanned(model), max_ratio=0.1)
