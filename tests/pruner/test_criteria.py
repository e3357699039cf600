"""Which channels go first, and that each criterion meets the target."""

from copy import deepcopy
from dataclasses import dataclass

import pytest
import torch

from optimize.errors import InputError, TargetOutOfReach
from optimize.identity import identity
from optimize.input_size import square
from optimize.pruner.blocks import blocks
from optimize.pruner.bn import BN
from optimize.pruner.l2 import L2
from optimize.pruner.lamp import LAMP
from optimize.pruner.prune import prune
from optimize.pruner.random import Random
from optimize.pruner.score import scores
from optimize.pruner.settings import Pruning
from optimize.pruner.taylor import Taylor
from optimize.pruner.tracker import trace
from optimize.yolo import coupling
from optimize.yolo.checkpoint import load
from optimize.yolo.dataset import resolve

IMGSZ = 64


@pytest.mark.parametrize("criterion", [L2(), BN(), LAMP(), Random(1)])
def test_every_criterion_meets_the_target(yolo11n, criterion):
    report = prune(deepcopy(yolo11n), square(IMGSZ), Pruning(0.4, criterion, round_to=4))
    assert report.reached == pytest.approx(0.4, abs=0.01)
    assert report.criterion == identity(criterion)


@pytest.mark.parametrize(("criterion", "scaled"), [(L2(), "conv"), (BN(), "bn"), (LAMP(), "conv")])
def test_the_smallest_channels_go_first(yolo11n, criterion, scaled):
    """Half of one layer's channels are made tiny: all those that go are among them."""
    model, tiny = deepcopy(yolo11n), torch.arange(0, 32, 2)
    with torch.no_grad():
        getattr(model.model[1], scaled).weight[tiny] *= 1e-4
        model.model[1].bn.weight[tiny] *= 1e-4
        model.model[2].cv1.conv.weight[:, tiny] *= 1e-4
    prune(model, square(IMGSZ), Pruning(0.2, criterion, round_to=4))
    scales = model.model[1].bn.weight.abs()
    assert 16 <= len(scales) < 32
    assert int((scales > 1e-3).sum()) == 16


def test_taylor_is_the_change_of_the_loss_to_first_order(dataset, checkpoint):
    """The channels that it calls least important are those whose absence changes the loss least."""
    model, data = load(checkpoint), resolve(str(dataset))
    scorer = Taylor(data, images=4)(model, square(IMGSZ))
    gradient = model.model[4].cv1.conv.weight.grad.clone()
    traced = trace(coupling.traceable(model), square(IMGSZ), coupling.RULES, coupling.HALVING, coupling.predictions)
    uses = [use.layer for use in traced.uses]
    block = next(b for b in blocks(traced) if not b.frozen and uses[b.parts[0].use] == "model.3.conv")
    found = scores(scorer, model, traced, block)
    weight = model.model[4].cv1.conv.weight
    read = (weight * gradient).abs().sum((0, 2, 3))
    made = (model.model[3].conv.weight * model.model[3].conv.weight.grad).abs().sum((1, 2, 3))
    assert found == pytest.approx(((read + made) / 2 / ((read + made) / 2).mean()).detach().numpy(), rel=1e-4)


def test_taylor_sees_the_images_that_its_seed_draws(dataset, checkpoint):
    data, gradients = resolve(str(dataset)), []
    for images, seed in ((4, 0), (4, 0), (4, 1), (8, 0)):
        model = load(checkpoint)
        before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
        Taylor(data, images, seed)(model, square(IMGSZ))
        assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
        assert not model.training
        gradients.append(model.model[0].conv.weight.grad)
    assert torch.equal(gradients[0], gradients[1])
    assert not torch.equal(gradients[0], gradients[2]) and not torch.equal(gradients[0], gradients[3])


def test_taylor_prunes_to_the_target_and_leaves_no_gradient(dataset, checkpoint):
    model = load(checkpoint)
    report = prune(model, square(IMGSZ), Pruning(0.3, Taylor(resolve(str(dataset)), 8), round_to=4))
    assert report.reached == pytest.approx(0.3, abs=0.01)
    assert all(parameter.grad is None for parameter in model.parameters())


def test_taylor_without_images_is_refused(dataset):
    with pytest.raises(InputError, match=r"pruner\.criterion\.images=0 is out of range"):
        Taylor(resolve(str(dataset)), images=0)


def test_random_channels_follow_the_seed(yolo11n):
    kept = []
    for seed in (1, 1, 2):
        model = deepcopy(yolo11n)
        prune(model, square(IMGSZ), Pruning(0.3, Random(seed), round_to=4))
        kept.append(torch.cat([p.flatten() for p in model.parameters()]))
    assert torch.equal(kept[0], kept[1])
    assert kept[0].shape != kept[2].shape or not torch.equal(kept[0], kept[2])


def test_weights_that_are_not_finite_are_refused(yolo11n):
    model = deepcopy(yolo11n)
    model.model[0].conv.weight.data[0] = torch.nan
    with pytest.raises(InputError, match="not finite"):
        prune(model, square(IMGSZ), Pruning(0.3, L2()))


@dataclass(frozen=True)
class Blind:
    """Can't score anything."""

    def __call__(self, model, imgsz):
        return lambda group: None


def test_what_a_criterion_can_not_score_stays(yolo11n):
    with pytest.raises(TargetOutOfReach, match=r"at most 0\.000"):
        prune(deepcopy(yolo11n), square(IMGSZ), Pruning(0.3, Blind()))
