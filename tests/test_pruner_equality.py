"""The core test: a dense model whose removed channels are zeroed computes what the pruned model computes."""

from copy import deepcopy

import pytest
import torch
from torch import nn
from ultralytics import RTDETR, YOLO
from ultralytics.nn.modules.block import AAttn, Attention

from optimize.measure.cost import count
from optimize.pruner.cut import cut
from optimize.pruner.l2 import L2
from optimize.pruner.selection import select
from optimize.yolo import coupling
from optimize.yolo.checkpoint import deployed

IMGSZ = 64
DETECT = [
    "yolov3-tiny",
    "yolov5n",
    "yolov6n",
    "yolov8n",
    "yolov9t",
    "yolov9c",
    "yolov10n",
    "yolo11n",
    "yolo12n",
    "yolo26n",
]
TASKS = [f"{family}-{task}" for family in ("yolov8n", "yolo11n", "yolo26n") for task in ("seg", "pose", "cls", "obb")]


def build(name: str) -> nn.Module:
    """A random model in which every channel matters: BatchNorm is not the identity, and attention is not flat."""
    torch.manual_seed(0)
    model = (RTDETR if "rtdetr" in name else YOLO)(f"{name}.yaml").model.double().eval()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, 0, 0.2)
            module.running_mean.normal_(0, 0.2)
            module.running_var.uniform_(0.5, 1.5)
    for module in model.modules():
        if isinstance(module, (Attention, AAttn)):
            module.qkv.bn.weight.data *= 4
    return model


@torch.no_grad()
def masked(model: nn.Module, uses, removed) -> nn.Module:
    """A copy of full size in which everything that touches a removed channel is zero."""
    model = deepcopy(model)
    for use, gone in zip(uses, removed, strict=True):
        if use.side == "none":
            continue
        layer = model.get_submodule(use.layer)
        rows = use.side != "in" and not getattr(layer, "transposed", False)
        rows = rows or (use.side == "in" and getattr(layer, "transposed", False))
        layer.weight[gone if rows else (slice(None), gone)] = 0
        if use.side != "in" and layer.bias is not None:
            layer.bias[gone] = 0
    return model


def raw(model: nn.Module, imgsz: tuple[int, int]) -> list[torch.Tensor]:
    torch.manual_seed(1)
    image = torch.rand(1, 3, *imgsz, dtype=torch.float64)
    for module in model.modules():
        module.training = not isinstance(module, nn.BatchNorm2d)  # the raw outputs of every branch
    with torch.no_grad():
        outputs = coupling.predictions(model(image))
    model.eval()
    return outputs


def difference(first: list[torch.Tensor], second: list[torch.Tensor]) -> float:
    assert [t.shape for t in first] == [t.shape for t in second]
    return max(float((a - b).abs().max() / b.abs().max()) for a, b in zip(first, second, strict=True))


@pytest.mark.parametrize("name", DETECT + TASKS)
def test_the_pruned_model_equals_the_masked_one(name):
    model = build(name)
    chosen = select(model, count(deployed(model), IMGSZ), IMGSZ, 0.4, L2(), "global", 4, 0.75)
    uses, removed = chosen.trace.uses, chosen.removed()
    pruned, dense = deepcopy(model), masked(model, uses, removed)
    cut(pruned, uses, removed)
    coupling.refresh(pruned)
    for imgsz in ((IMGSZ, IMGSZ), (96, 64)):
        outputs = raw(pruned, imgsz)
        assert difference(outputs, raw(dense, imgsz)) <= 1e-9
        # The masked channels mattered: without this an untouched model would pass.
        assert difference(outputs, raw(model, imgsz)) > 1e-3


@pytest.mark.parametrize("name", ["yolov10n", "yolo11n", "yolo12n", "yolo26n"])
def test_the_random_models_see_their_attention(name):
    """Negative control: a wrong scale of the attention must show, or the test above proves nothing about it."""
    model = build(name)
    wrong = deepcopy(model)
    for module in wrong.modules():
        if isinstance(module, (Attention, AAttn)):
            module.qkv.bn.weight.data *= 1.1
    assert difference(raw(wrong, (IMGSZ, IMGSZ)), raw(model, (IMGSZ, IMGSZ))) > 1e-6
