"""Every family: a model without branches computes what it does when they are bypassed, and is a stock checkpoint."""

from collections.abc import Iterable
from copy import deepcopy
from itertools import compress
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import nn
from ultralytics import YOLO
from ultralytics.nn.modules import C2f, C2fCIB, C2fPSA
from ultralytics.nn.modules.block import A2C2f, Bottleneck, C3k2, ResNetLayer

from helpers import pruned
from helpers.lively import lively
from helpers.masking import difference, masked, prune, raw
from helpers.messages import like
from helpers.random_models import batch, build
from optimize import train
from optimize.errors import InputError
from optimize.input_size import square
from optimize.measure.cost import Cost
from optimize.measure.operations import count
from optimize.pruner.l2 import L2
from optimize.pruner.settings import Pruning
from optimize.pruner.tracker import trace
from optimize.runtime.onnxruntime import OnnxRuntime
from optimize.runtime.torch import Torch
from optimize.variant import Variant
from optimize.yolo import coupling
from optimize.yolo.checkpoint import deployed, load, save
from optimize.yolo.depth import Branch, bypass, cutting, removable, remove
from optimize.yolo.export import to_onnx
from optimize.yolo.widths import STOP, is_pruned, stop_stock_training

IMGSZ = 64
HELD = {  # how many branches each family has, and how many of them leave zeros
    "yolov5n": (7, 0),
    "yolov8n": (10, 4),
    "yolov8n-ghost": (10, 0),
    "yolov9t": (42, 0),
    "yolov10n": (10, 3),
    "yolo11n-pose": (15, 3),
    "yolo12n": (26, 4),
    "yolo26n-seg": (21, 5),
}
MORE = {
    "yolov8n-p2": (12, 6),
    "yolov8n-p6": (7, 0),
    "yolov8n-rtdetr": (10, 4),
    "yolov8-cls-resnet50": (12, 0),
    "yolov9c": (16, 0),
    "yolov10l": (30, 3),
    "yolo11m": (25, 8),
    "yolo12n-obb": (26, 4),
    "yolo26n-cls": (9, 2),
    "yolo26n-p2": (27, 7),
}
PRUNING = Pruning(0.4, L2(), scope="global", round_to=4, min_width=1)


@pytest.fixture(scope="module", params=[*HELD, *(pytest.param(name, marks=pytest.mark.long) for name in MORE)])
def name(request) -> str:
    return request.param


@pytest.fixture(scope="module")
def model(name) -> nn.Module:
    return build(name)


def without(model: nn.Module, names: Iterable[str]) -> nn.Module:
    thinner = deepcopy(model)
    remove(thinner, names)
    return thinner


def names(model: nn.Module) -> list[str]:
    return [branch.name for branch in removable(model)]


def cost(model: nn.Module) -> Cost:
    return count(deployed(model), square(IMGSZ))


def left(model: nn.Module, before: Cost, branches: list[Branch]) -> tuple[int, int]:
    """FLOPs and parameters without the layers of `branches` and without the columns that read them."""
    layers = {layer.name: layer for layer in before.layers if not any(b.holds(layer.name) for b in branches)}
    flops, parameters = (sum(getattr(layer, key) for layer in layers.values()) for key in ("flops", "parameters"))
    for reader in {branch.reader for branch in branches} - {""}:
        columns = len(set().union(*(branch.columns for branch in branches if branch.reader == reader)))
        outputs = model.get_submodule(reader).out_channels
        positions = layers[reader].written_bytes // 4 // outputs  # height x width, in float32
        flops -= 2 * columns * outputs * positions
        parameters -= columns * outputs
    return flops, parameters


# Every family --------------------------------------------------------------------------------------------------------


@pytest.mark.command
def test_each_branch_removed_is_as_bypassed(name, model):
    branches, dense = removable(model), raw(model, (IMGSZ, IMGSZ))
    assert (len(branches), sum(branch.leaves == "zeros" for branch in branches)) == (HELD | MORE)[name]
    for branch in branches:
        with bypass(model, [branch.name]):
            bypassed = raw(model, (IMGSZ, IMGSZ))
        assert difference(raw(without(model, [branch.name]), (IMGSZ, IMGSZ)), bypassed) <= 1e-12, branch
        assert difference(bypassed, dense) > 1e-9, branch  # it did matter
    assert all(map(torch.equal, raw(model, (IMGSZ, IMGSZ)), dense))  # no bypass left anything behind


def test_all_branches_removed_are_as_bypassed_and_cost_what_is_left(model):
    branches, before = removable(model), cost(model)
    thinner = without(model, names(model))
    with bypass(model, names(model)):
        bypassed = raw(model, (128, IMGSZ))
    assert difference(raw(thinner, (128, IMGSZ)), bypassed) <= 1e-12
    after = cost(thinner)
    assert (after.flops, after.parameters) == left(model, before, list(branches))
    assert names(thinner) == []


def test_the_layers_and_columns_of_a_branch_are_those_of_a_trace(model):
    """Its names serve whoever chooses by the terms of a trace."""
    traces = [
        trace(coupling.traceable(m), square(IMGSZ), coupling.RULES, coupling.HALVING, coupling.predictions)
        for m in (model, without(model, names(model)))
    ]
    before, after = ({term.layer for term in traced.terms} for traced in traces)
    branches = removable(model)
    assert {layer for layer in before if any(branch.holds(layer) for branch in branches)} == before - after
    wide, narrow = ({use.layer: len(use.ids) for use in traced.uses if use.side == "in"} for traced in traces)
    for reader in {branch.reader for branch in branches} - {""}:
        columns = set().union(*(branch.columns for branch in branches if branch.reader == reader))
        assert wide[reader] - narrow[reader] == len(columns)


@pytest.mark.command
def test_what_is_left_is_pruned_as_any_model_is(name, model):
    case = prune(name, without(model, names(model)[1::2]), IMGSZ, PRUNING)
    assert difference(raw(case.pruned, (128, IMGSZ)), raw(masked(case), (128, IMGSZ))) <= 1e-9


def test_branches_of_a_pruned_model_are_removed_as_bypassed(name, model):
    thin = prune(name, model, IMGSZ, PRUNING).pruned
    few = names(thin)[1::2]
    thinner = without(thin, few)
    with bypass(thin, few):
        bypassed = raw(thin, (IMGSZ, IMGSZ))
    assert difference(raw(thinner, (IMGSZ, IMGSZ)), bypassed) <= 1e-12
    after, branches = cost(thinner), [branch for branch in removable(thin) if branch.name in few]
    assert (after.flops, after.parameters) == left(thin, cost(thin), branches)


@pytest.mark.command
def test_what_is_left_trains(name, model):
    thinner = without(model, names(model)).float().train()
    loss, _ = thinner.loss(batch(name))
    loss.sum().backward()
    assert [key for key, p in thinner.named_parameters() if p.requires_grad and p.grad is None] == []


# Longer lists than those of the smallest models ----------------------------------------------------------------------

WIDTH = 64
BLOCKS = {
    "C2f with shortcuts": lambda: C2f(WIDTH, WIDTH, 3, shortcut=True),
    "C2f without": lambda: C2f(WIDTH, WIDTH, 3),
    "C3k2 of C3k": lambda: C3k2(WIDTH, WIDTH, 3, c3k=True),
    "C3k2 with attention": lambda: C3k2(WIDTH, WIDTH, 3, attn=True),
    "C2fCIB with shortcuts": lambda: C2fCIB(WIDTH, WIDTH, 3, shortcut=True, lk=True),
    "C2fCIB without": lambda: C2fCIB(WIDTH, WIDTH, 3),
    "C2fPSA": lambda: C2fPSA(WIDTH, WIDTH, 3),
    "A2C2f of C3k": lambda: A2C2f(WIDTH, WIDTH, 3, a2=False),
    "A2C2f with attention": lambda: A2C2f(WIDTH, WIDTH, 3),
    "Bottlenecks of YOLOv3": lambda: nn.Sequential(*(Bottleneck(WIDTH, WIDTH) for _ in range(3))),
    "ResNetLayer": lambda: ResNetLayer(WIDTH, 4, 2, n=4),
}


@pytest.mark.parametrize("training", [False, True])  # with the statistics of the batch, as sensitivity is measured
@pytest.mark.parametrize("kind", BLOCKS)
def test_any_choice_among_the_branches_of_a_block_is_as_bypassed(kind, training):
    torch.manual_seed(0)
    block = nn.Sequential(BLOCKS[kind]()).double().train(training)
    for norm in (module for module in block.modules() if isinstance(module, nn.BatchNorm2d)):
        norm.running_mean.normal_(0, 0.2), norm.running_var.uniform_(0.5, 1.5), nn.init.normal_(norm.bias)
    image = torch.randn(2, WIDTH, 6, 6).double()
    branches = names(block)
    with torch.no_grad():
        for few in (list(compress(branches, torch.rand(len(branches)) < 0.5)) for _ in range(20)):
            with bypass(block, few):
                bypassed = block(image)
            assert difference([without(block, few)(image)], [bypassed]) <= 1e-12


@pytest.mark.parametrize("kind", BLOCKS)
def test_each_branch_of_a_block_costs_its_layers_and_its_columns(kind):
    block = nn.Sequential(BLOCKS[kind]()).eval()
    before = count(block, square(32), WIDTH)
    for branch in removable(block):
        after = count(without(block, [branch.name]), square(32), WIDTH)
        assert (after.flops, after.parameters) == left(block, before, [branch])
        assert after.flops < before.flops


def test_a_resnet_block_whose_input_may_be_negative_stays():
    """It ends in ReLU, which would cut its input."""
    assert names(nn.Sequential(ResNetLayer(16, 4, n=3))) == ["0.layer.1", "0.layer.2"]


@pytest.mark.parametrize("function", [remove, lambda *both: bypass(*both).__enter__()])
def test_an_unknown_branch_is_refused_before_anything_is_changed(function):
    block = nn.Sequential(C2f(8, 8, 2, shortcut=True))
    with pytest.raises(InputError, match=like("0.m.7 is no branch ... give names ... 0.m.0, 0.m.1")):
        function(block, ["0.m.0", "0.m.7"])
    assert len(block[0].m) == 2
    assert names(block) == ["0.m.0", "0.m.1"]


# As a checkpoint -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", ["yolo12n", "yolo26n"])
def test_stock_ultralytics_loads_fuses_and_predicts(family, tmp_path):
    model = load(lively(f"{family}.yaml", tmp_path / "dense.pt"))
    remove(model, names(model))
    save(model, tmp_path / "thin.pt")
    image = torch.rand(1, 3, IMGSZ, IMGSZ)
    stock = YOLO(tmp_path / "thin.pt")
    assert all(type(module).__module__.startswith(("ultralytics.", "torch.")) for module in stock.model.modules())
    with torch.no_grad():
        expected, loaded = (coupling.predictions(m.eval()(image))[0] for m in (model, stock.model.float()))
        fused = coupling.predictions(stock.model.fuse(verbose=False)(image))[0]
    assert torch.equal(expected, loaded)
    assert difference([fused], [expected]) <= 1e-4
    assert len(stock.predict(np.zeros((IMGSZ, IMGSZ, 3), np.uint8), imgsz=IMGSZ, verbose=False)) == 1


@pytest.mark.command
@pytest.mark.parametrize("family", ["yolov8n", "yolo26n"])
def test_an_export_computes_what_is_left(family, tmp_path):
    model = load(lively(f"{family}.yaml", tmp_path / "dense.pt"))
    remove(model, names(model))
    save(model, tmp_path / "thin.pt")
    thin = Variant(tmp_path / "thin.pt", "torch", "fp32", square(IMGSZ))
    image = np.random.default_rng(0).random((1, 3, IMGSZ, IMGSZ), dtype=np.float32)
    (expected,) = Torch().open(thin, threads=1)(image)
    (output,) = OnnxRuntime().open(OnnxRuntime().export(thin, tmp_path), threads=1)(image)
    np.testing.assert_allclose(output[:, :4], expected[:, :4], atol=1e-4 * IMGSZ)
    np.testing.assert_allclose(output[:, 4:], expected[:, 4:], atol=1e-4)


@pytest.mark.parametrize("family", ["yolov8n", "yolo11n", "yolo26n"])
def test_an_export_neither_cuts_nor_concatenates_where_no_block_is_left(family, tmp_path):
    model = build(family)
    whole = cut_modules(model, tmp_path / "whole.onnx")
    assert whole == set(cutting(model)) != set()
    remove(model, names(model))
    assert not any(cutting(model).values())
    assert cut_modules(model, tmp_path / "thin.onnx") == set()


def cut_modules(model: nn.Module, path: Path) -> set[str]:
    """The modules of `model` whose exported form splits, or slices, and concatenates."""
    to_onnx(model, square(IMGSZ), path)
    splits = [node.name for node in onnx.load(path).graph.node if node.op_type in ("Split", "Slice")]
    return {name for name in cutting(model) if any(f"/{name}/" in split for split in splits)}


@pytest.mark.command
@pytest.mark.parametrize("family", ["yolov8n", "yolo26n"])
def test_training_keeps_the_depth_and_stock_training_refuses(family, tmp_path):
    model = load(pruned.whole(family, tmp_path))
    assert is_pruned(model) is False
    remove(model, names(model)[:1])
    assert is_pruned(model) is True
    stop_stock_training(model)
    save(model, tmp_path / "thin.pt")
    words = {"data": pruned.write_data(tmp_path / "data", "detect"), "project": str(tmp_path), "plots": False}
    words |= {"epochs": 1, "imgsz": IMGSZ, "batch": 4, "device": "cpu"}
    with pytest.raises(KeyError, match=like(STOP)):
        YOLO(tmp_path / "thin.pt").train(**words)
    yolo = YOLO(tmp_path / "thin.pt")
    yolo.train(trainer=train.trainer, **words)
    before, after = ({key: v.shape for key, v in m.state_dict().items()} for m in (model, load(yolo.trainer.last)))
    assert before == after
