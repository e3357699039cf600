"""The target is met, what can't be done is said, and the stage leaves a checkpoint that needs nothing of ours."""

import json
import subprocess
import sys
from copy import deepcopy
from pathlib import Path

import numpy as np
import pytest
import torch
from hydra import compose, initialize_config_dir
from torch import nn

from helpers.messages import like
from helpers.random_models import build
from optimize.config import CONF
from optimize.config import build as from_config
from optimize.errors import InputError, TargetOutOfReach
from optimize.input_size import square
from optimize.measure.operations import count
from optimize.pruner.blocks import Block, Part
from optimize.pruner.budget import Goal, allowed, cheapest, check_reach, search
from optimize.pruner.l2 import L2
from optimize.pruner.prune import Prune, prune
from optimize.pruner.settings import Pruning
from optimize.variant import Variant
from optimize.yolo.checkpoint import deployed, load, save
from optimize.yolo.dataset import resolve

IMGSZ = 64


# The target ----------------------------------------------------------------------------------------------------------


def test_the_allowed_widths_are_rounded_and_never_too_narrow():
    def block(units: int, per_unit: int = 1) -> Block:
        return Block(units, (Part(0, np.zeros((per_unit, units), int)),))

    assert allowed(block(64), 16, 0.75, 1).tolist() == [16, 32, 48, 64]
    assert allowed(block(64), 16, 0.5, 1).tolist() == [32, 48, 64]
    assert allowed(block(40), 16, 0.9, 1).tolist() == [16, 32, 40]
    assert allowed(block(16), 16, 0.75, 1).tolist() == [16]
    assert allowed(block(10), 1, 0.7, 1).tolist() == [3, 4, 5, 6, 7, 8, 9, 10]
    # One unit of attention with four heads is four channels.
    assert allowed(block(32, per_unit=4), 16, 0.75, 1).tolist() == [8, 12, 16, 20, 24, 28, 32]


def test_the_search_ends_where_the_cost_is_met():
    options = [np.arange(1, 101), np.arange(1, 101)]
    choice = search(
        lambda kept: float(kept @ [1, 3]), options, lambda ratio: ratio * np.array([100, 100]), Goal("flops", 400, 0.3)
    )
    assert float(choice.kept @ [1, 3]) == pytest.approx(280, abs=1)
    assert choice.ratio == pytest.approx(0.3, abs=0.01)


def test_the_cheapest_cuts_are_made_first():
    """Two blocks that cost alike: one whose narrowing is free, one where it is dear."""
    options, rises = [np.array([4, 8]), np.array([2, 4, 6, 8])], [np.array([0.5, 0]), np.array([0.3, 0.01, 0, 0])]
    costs = lambda rows: rows.sum(axis=1)  # noqa: E731
    assert cheapest(costs, options, rises, Goal("flops", 16, 2 / 16)).kept.tolist() == [8, 6]
    assert cheapest(costs, options, rises, Goal("flops", 16, 4 / 16)).kept.tolist() == [8, 4]
    assert cheapest(costs, options, rises, Goal("flops", 16, 6 / 16)).kept.tolist() == [8, 2]  # 0.3 is less than 0.5
    assert cheapest(costs, options, rises, Goal("flops", 16, 10 / 16)).kept.tolist() == [4, 2]


def test_a_target_out_of_reach_names_the_largest_that_is_not():
    options = [np.arange(40, 101)]
    with pytest.raises(TargetOutOfReach, match=like("prune=0.7 can't be reached ... at most 0.600 ... flops")):
        check_reach(lambda kept: float(kept.sum()), options, Goal("flops", 100, 0.7))
    check_reach(lambda kept: float(kept.sum()), options, Goal("flops", 100, 0.6))


@pytest.mark.parametrize("scope", ["global", "local"])
@pytest.mark.parametrize("share", [0.1, 0.3, 0.6])
def test_the_share_is_met_at_the_default_rounding(yolo11n, share, scope):
    model = deepcopy(yolo11n)
    before = count(deployed(model), square(160))
    report = prune(model, square(160), Pruning(share, L2(), scope=scope))
    after = count(deployed(model), square(160))
    assert report.reached == pytest.approx(share, abs=0.01)
    assert report.reached == 1 - after.flops / before.flops
    assert report.flops == (before.flops, after.flops)
    assert sum(layer.flops[1] for layer in report.layers) == pytest.approx(after.flops, rel=0.02)  # less attention, DFL
    changed = [layer for layer in report.layers if layer.width[0] != layer.width[1]]
    assert changed and all(layer.width[1] % 16 == 0 and layer.width[1] >= layer.width[0] / 4 for layer in changed)
    assert all(bool(layer.dense) == (layer not in changed) for layer in report.layers)
    for layer in report.layers:
        assert model.get_submodule(layer.name).weight.shape[0] == layer.width[1]


@pytest.mark.parametrize("name", ["yolo11n", "yolov10n", "yolo26n-seg", "yolov8n-cls"])
def test_a_share_of_parameters_is_met_and_counted(name):
    model = build(name).float()
    before = count(deployed(model), square(IMGSZ)).parameters
    report = prune(model, square(IMGSZ), Pruning(0.3, L2(), target="params", round_to=4))
    after = count(deployed(model), square(IMGSZ)).parameters
    assert report.parameters == (before, after) and report.reached == 1 - after / before
    assert report.reached == pytest.approx(0.3, abs=0.01)


def test_a_share_of_channels_is_met_and_counted(yolo11n):
    def channels(model: nn.Module) -> int:
        return sum(m.out_channels for m in deployed(model).modules() if isinstance(m, nn.Conv2d))

    model, before = deepcopy(yolo11n), channels(yolo11n)
    report = prune(model, square(IMGSZ), Pruning(0.3, L2(), target="channels", round_to=4))
    assert report.reached == 1 - channels(model) / before
    assert report.reached == pytest.approx(0.3, abs=0.01)


def test_a_floor_keeps_layers_wide(yolo11n):
    narrowest = []
    for min_width in (1, 48):
        report = prune(deepcopy(yolo11n), square(IMGSZ), Pruning(0.3, L2(), round_to=4, min_width=min_width))
        narrowest.append(min(new for layer in report.layers for old, new in [layer.width] if new < old))
    assert narrowest[0] < 48 <= narrowest[1]


def test_protected_layers_keep_their_channels_and_say_why(yolo11n):
    report = prune(
        deepcopy(yolo11n), square(IMGSZ), Pruning(0.3, L2(), round_to=4, protect=("model.1.*", "model.4.cv?.conv"))
    )
    free = {
        layer.name: layer for layer in prune(deepcopy(yolo11n), square(IMGSZ), Pruning(0.3, L2(), round_to=4)).layers
    }
    for layer in report.layers:
        for name, pattern in (("model.1.conv", "model.1.*"), ("model.4.cv2.conv", "model.4.cv?.conv")):
            if layer.name == name:
                assert layer.width[0] == layer.width[1] and layer.dense == f"protected by {pattern}"
                assert free[name].width[1] < free[name].width[0]  # without protection they do shrink
    assert report.reached == pytest.approx(0.3, abs=0.01)


def test_a_protected_name_that_fits_no_layer_is_refused(yolo11n):
    with pytest.raises(InputError, match=like("pruner.protect=backbone.* ... no layer ... names ... model.0.conv")):
        prune(deepcopy(yolo11n), square(IMGSZ), Pruning(0.3, L2(), protect=("backbone.*",)))


def test_steps_refer_to_the_original(yolo11n, tmp_path):
    save(yolo11n, tmp_path / "dense.pt")
    whole, model = count(deployed(yolo11n), square(IMGSZ)).flops, deepcopy(yolo11n)
    for share in (0.2, 0.4):
        report = prune(model, square(IMGSZ), Pruning(share, L2(), tmp_path / "dense.pt", round_to=4))
        assert report.reached == 1 - count(deployed(model), square(IMGSZ)).flops / whole
        assert report.reached == pytest.approx(share, abs=0.01)


def test_training_only_layers_cost_nothing():
    report = prune(build("yolo26n-pose").float(), square(IMGSZ), Pruning(0.3, L2(), round_to=4))
    second_head = [layer for layer in report.layers if "one2one" in layer.name or "sigma" in layer.name]
    assert second_head and all(layer.flops == (0, 0) for layer in second_head)


# The stage -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def variant(tmp_path_factory, yolo11n) -> Variant:
    path = tmp_path_factory.mktemp("dense") / "dense.pt"
    save(yolo11n, path)
    return Variant(path, "torch", "fp32", square(IMGSZ))


def test_nothing_to_prune_returns_the_variant_itself(variant, tmp_path):
    assert Prune(Pruning(0, L2()))(variant, tmp_path) is variant
    assert list(tmp_path.iterdir()) == []


def test_the_stage_writes_a_checkpoint_and_a_report(variant, tmp_path):
    made = Prune(Pruning(0.3, L2(), round_to=4))(variant, tmp_path)
    assert made.path == tmp_path / "pruned.pt" and made.tags == ("pruned",) and made.name == "pruned"
    report = json.loads((tmp_path / "report.json").read_text())
    flops = [count(deployed(load(path)), square(IMGSZ)).flops for path in (variant.path, made.path)]
    assert report["flops"] == flops
    assert report["asked"] == 0.3 and report["target"] == "flops" and report["reached"] == 1 - flops[1] / flops[0]
    # A pruned model is pruned further like any other.
    twice = prune(load(made.path), square(IMGSZ), Pruning(0.2, L2(), round_to=4))
    assert twice.flops[0] == flops[1] and twice.reached == pytest.approx(0.2, abs=0.01)


@pytest.mark.command
def test_stock_ultralytics_loads_it_where_we_are_not_installed(variant, tmp_path):
    made = Prune(Pruning(0.4, L2(), round_to=4))(variant, tmp_path)
    script = (
        "import sys, torch, ultralytics; sys.modules['optimize'] = None\n"
        f"model = ultralytics.YOLO(r'{made.path}').model.float().eval()\n"
        f"torch.save(model(torch.ones(1, 3, {IMGSZ}, {IMGSZ}))[0], r'{tmp_path / 'out.pt'}')\n"
    )
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "OMP_NUM_THREADS": "1"}
    subprocess.run([sys.executable, "-c", script], cwd=tmp_path, env=environment, check=True, capture_output=True)
    with torch.no_grad():
        expected = load(made.path)(torch.ones(1, 3, IMGSZ, IMGSZ))[0]
    assert torch.equal(torch.load(tmp_path / "out.pt"), expected)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"share": 1.2}, "prune=1.2 ... 0 <= prune < 1"),
        ({"share": -0.1}, "prune=-0.1 ... 0 <= prune < 1"),
        ({"share": 1}, "prune=1 ... 0 <= prune < 1"),
        ({"share": float("nan")}, "prune=nan ... 0 <= prune < 1"),
        ({"scope": "layer"}, "pruner.scope=layer ... measured or local or global"),
        ({"round_to": 0}, "pruner.round_to=0 ... 1 or more"),
        ({"max_ratio": 1.0}, "pruner.max_ratio=1 ... 0"),
        ({"target": "macs"}, "pruner.target=macs ... flops or params or channels"),
        ({"min_width": 0}, "pruner.min_width=0 ... 1 or more"),
        ({"steps": 0}, "pruner.steps=0 ... 1 or more"),
        ({"images": 0}, "pruner.images=0 ... 1 or more"),
        ({"scope": "measured"}, "pruner.scope=measured ... labelled images ... data ... pruner.scope=local"),
    ],
)
def test_settings_out_of_range_are_refused_in_one_sentence(settings, message):
    with pytest.raises(InputError, match=like(message)):
        Pruning(**{"share": 0.3, "criterion": L2()} | settings)


@pytest.mark.parametrize("path", sorted((CONF / "pruner").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_choice_of_conf_builds_and_starts_with_its_command(path: Path, dataset):
    with initialize_config_dir(str(CONF.resolve()), version_base=None):
        config = compose("config", [f"pruner={path.stem}", "prune=0.25", "seed=7"])
    stage = from_config(config.pruner, "pruner", data=resolve(str(dataset)))
    assert stage.share == 0.25 and type(stage.criterion).__module__ == f"optimize.pruner.{path.stem}"
    assert path.read_text().splitlines()[0] == f"# python -m optimize prune=0.3 pruner={path.stem}"
