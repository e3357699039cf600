"""Every family and task: pruning removes exactly what it says, and what is left works like any ultralytics model.

The core test: a dense model whose removed channels are zeroed computes what the pruned model computes.
"""

from copy import deepcopy

import pytest
import torch
from ultralytics import YOLO
from ultralytics.nn.modules.block import AAttn, Attention

from helpers.masking import Case, difference, masked, pruned, raw
from helpers.random_models import DETECT, TASKS, TRANSFORMERS, batch
from optimize.pruner.l2 import L2
from optimize.pruner.settings import Pruning
from optimize.yolo import coupling
from optimize.yolo.checkpoint import deployed, save

IMGSZ = 64


@pytest.fixture(scope="module", params=DETECT + TASKS + TRANSFORMERS)
def case(request) -> Case:
    return pruned(request.param, IMGSZ, Pruning(0.4, L2(), scope="global", round_to=4, min_width=1))


@pytest.mark.parametrize("size", [(IMGSZ, IMGSZ), (96, 64)])
def test_the_pruned_model_equals_the_masked_one(case, size):
    outputs = raw(case.pruned, size)
    assert difference(outputs, raw(masked(case), size)) <= 1e-9
    assert difference(outputs, raw(case.dense, size)) > 1e-3  # the removed channels did matter


def test_a_wrong_attention_scale_would_show(case):
    """Negative control: without it the test above would prove nothing about attention."""
    wrong, found = deepcopy(case.dense), False
    for module in wrong.modules():
        if isinstance(module, (Attention, AAttn)):
            module.qkv.bn.weight.data *= 1.1
            found = True
    assert (difference(raw(wrong, (IMGSZ, IMGSZ)), raw(case.dense, (IMGSZ, IMGSZ))) > 1e-6) is found


def test_every_parameter_still_trains(case):
    model = deepcopy(case.pruned).float().train()
    torch.manual_seed(0)
    loss, _ = model.loss(batch(case.name))
    loss.sum().backward()
    missing = [n for n, p in model.named_parameters() if p.requires_grad and p.grad is None]
    assert missing == []
    assert all(p.grad.isfinite().all() for p in model.parameters() if p.grad is not None)


@pytest.mark.command
def test_saved_it_reloads_as_it_was(case, tmp_path):
    image = torch.rand(1, 3, IMGSZ, IMGSZ)
    with torch.no_grad():
        expected = deployed(case.pruned)(image)[0]
        save(case.pruned, tmp_path / "pruned.pt")
        reloaded = YOLO(tmp_path / "pruned.pt").model
        assert type(reloaded) is type(case.dense)
        again = deployed(reloaded)(image)[0]
    for a, b in zip(*(x if isinstance(x, tuple) else (x,) for x in (expected, again)), strict=True):
        assert torch.equal(a, b)


def test_fusing_keeps_the_outputs(case):
    model = deepcopy(case.pruned).float()
    if hasattr(model, "end2end"):
        model.end2end = False
    image = torch.rand(1, 3, IMGSZ, IMGSZ)
    with torch.no_grad():
        plain, fused = (coupling.predictions(m(image))[0] for m in (model, deployed(case.pruned)))
    assert float((plain - fused).abs().max() / plain.abs().max()) < 1e-3
