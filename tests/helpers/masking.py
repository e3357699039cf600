"""A pruned model beside the dense one whose removed channels are zeroed, which must compute the same."""

from copy import deepcopy
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from helpers.random_models import build
from optimize.input_size import square
from optimize.measure.operations import count
from optimize.pruner.budget import Goal
from optimize.pruner.selection import Selection, counted, narrow, select
from optimize.pruner.settings import Pruning
from optimize.yolo import coupling
from optimize.yolo.checkpoint import deployed


@dataclass(frozen=True)
class Case:
    name: str
    dense: nn.Module
    pruned: nn.Module
    chosen: Selection


def pruned(name: str, imgsz: int, settings: Pruning) -> Case:
    """A random model of the family before and after; both float64."""
    return prune(name, build(name), imgsz, settings)


def prune(name: str, dense: nn.Module, imgsz: int, settings: Pruning) -> Case:
    """`dense` and what it is pruned to; both float64."""
    cost = count(deployed(dense), square(imgsz))
    goal = Goal("flops", cost.flops, settings.share)
    chosen = select(dense, square(imgsz), settings, goal, counted(dense, cost, "flops", cost.flops))
    model = deepcopy(dense)
    narrow(model, chosen)
    return Case(name, dense, model, chosen)


@torch.no_grad()
def masked(case: Case) -> nn.Module:
    """The dense model in which everything that touches a removed channel is zero."""
    model = deepcopy(case.dense)
    for use, gone in zip(case.chosen.trace.uses, case.chosen.removed(), strict=True):
        if use.side != "none":
            layer = model.get_submodule(use.layer)
            dim = int((use.side == "in") != getattr(layer, "transposed", False))
            layer.weight.index_fill_(dim, torch.from_numpy(gone), 0)
            if use.side != "in" and layer.bias is not None:
                layer.bias[gone] = 0
    return model


@torch.no_grad()
def raw(model: nn.Module, size: tuple[int, int]) -> list[Tensor]:
    """The outputs of all branches, those of training too."""
    torch.manual_seed(1)
    image = torch.rand(1, 3, *size, dtype=torch.float64)
    for module in model.modules():
        module.training = not isinstance(module, nn.BatchNorm2d)
    outputs = coupling.predictions(model(image))
    model.eval()
    return outputs


def difference(first: list[Tensor], second: list[Tensor]) -> float:
    """Largest difference, relative to the largest output of its tensor."""
    assert [t.shape for t in first] == [t.shape for t in second]
    return max(float((a - b).abs().max() / b.abs().max()) for a, b in zip(first, second, strict=True))
