"""A network that remembers what its changed layers do not reach computes the loss that the whole network has."""

from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy

import pytest
import torch

from helpers.random_models import batch, build
from optimize.yolo.rerun import remembering

IMGSZ = 64


def lossy(name: str) -> tuple[torch.nn.Module, dict[str, torch.Tensor]]:
    torch.manual_seed(1)
    return build(name).float().train(), batch(name, IMGSZ)


@contextmanager
def halved(layer: torch.nn.Conv2d) -> Iterator[None]:
    """Meanwhile half of its outputs are other ones."""
    before = deepcopy(layer.state_dict())
    layer.weight[::2] = layer.weight[::2].abs()
    yield
    layer.load_state_dict(before)


def loss_of(model: torch.nn.Module, labelled: dict[str, torch.Tensor]) -> float:
    torch.manual_seed(0)
    return float(model.loss(dict(labelled))[0].sum())


@pytest.mark.parametrize(
    "name", ["yolov9t", "yolov10n", "yolo26n-seg", "yolo11n-pose", "yolov8n-cls", "yolov8n-rtdetr"]
)
@torch.no_grad()
def test_the_loss_is_that_of_the_whole_network(name):
    model, labelled = lossy(name)
    layers = [name for name, module in model.named_modules() if isinstance(module, torch.nn.Conv2d)]
    changed = [layers[i] for i in (0, len(layers) // 4, len(layers) // 2, -2, -1)]
    again = {}
    with remembering(model) as differ:
        whole = loss_of(model, labelled)
        for layer in changed:
            with halved(model.get_submodule(layer)):
                differ.add(layer)
                again[layer] = loss_of(model, labelled)
                differ.clear()
            assert loss_of(model, labelled) == whole
    for layer in changed:
        with halved(model.get_submodule(layer)):
            assert again[layer] == pytest.approx(loss_of(model, labelled), rel=1e-6)
    assert len({whole, *again.values()}) > len(changed) / 2  # most of them matter


@torch.no_grad()
def test_only_what_the_change_reaches_is_computed():
    model, labelled = lossy("yolov8n")
    head, ran = model.model[22], []
    parts = {
        "3": model.model[3],
        "18": model.model[18],
        "21": model.model[21],
        "small": head.cv2[0],
        "large": head.cv3[2],
    }
    for name, part in parts.items():
        inner = next(module for module in part.modules() if isinstance(module, torch.nn.Conv2d))
        inner.register_forward_hook(lambda *_, name=name: ran.append(name))

    def reached(*layers: str) -> list[str]:
        differ.update(layers)
        ran.clear()
        loss_of(model, labelled)
        differ.clear()
        return list(ran)

    with remembering(model) as differ:
        assert reached() == ["3", "18", "21", "small", "large"]  # the first time
        assert reached() == []
        assert reached("model.4.cv1.conv") == ["18", "21", "small", "large"]
        assert reached("model.21.cv1.conv") == ["21", "large"]
        assert reached("model.22.cv2.0.0.conv") == ["small"]
    loss_of(model, labelled)
    assert ran[-5:] == ["3", "18", "21", "small", "large"]
