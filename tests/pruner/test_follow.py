"""Which channels belong together is found by following them through the model."""

from copy import deepcopy

import pytest
import torch
from torch import Tensor, nn

from helpers.messages import says
from optimize.input_size import square
from optimize.pruner.blocks import Block, blocks
from optimize.pruner.l2 import L2
from optimize.pruner.prune import prune
from optimize.pruner.settings import Pruning
from optimize.pruner.tracker import trace

IMGSZ = 64


class Toy(nn.Module):
    """Two convolutions with an operation between them."""

    def __init__(self, between, out: int = 4):
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 8, 3, bias=False), nn.Conv2d(out, 4, 1, bias=False)
        self.between = between

    def forward(self, x: Tensor) -> Tensor:
        return self.second(self.between(self.first(x)))


def follow(model: nn.Module) -> tuple[list[Block], list[str]]:
    traced = trace(model.to("meta"), square(8), {}, (), lambda result: [result])
    return blocks(traced), [use.layer for use in traced.uses]


def free(found: list[Block]) -> list[Block]:
    return [block for block in found if not block.frozen]


def test_a_chunk_ties_its_halves_and_each_half_keeps_its_reader():
    found, uses = follow(Toy(lambda x: x.chunk(2, 1)[0] + x.chunk(2, 1)[1]))
    (block,) = free(found)
    assert block.units == 4
    positions = {uses[part.use]: part.positions.tolist() for part in block.parts}
    assert positions == {"first": [[0, 1, 2, 3], [4, 5, 6, 7]], "second": [[0, 1, 2, 3]]}


def test_a_concatenation_leaves_its_parts_independent():
    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b, self.c = nn.Conv2d(3, 8, 1), nn.Conv2d(3, 6, 1), nn.Conv2d(14, 2, 1)

        def forward(self, x):
            return self.c(torch.cat([self.a(x), self.b(x)], 1))

    found, uses = follow(Model())
    where = [{uses[part.use]: part.positions.tolist() for part in block.parts} for block in free(found)]
    assert where == [{"a": [[*range(8)]], "c": [[*range(8)]]}, {"b": [[*range(6)]], "c": [[*range(8, 14)]]}]


@pytest.mark.parametrize(
    ("operation", "name"),
    [
        (lambda x: x.flip(1), "flip"),
        (lambda x: x.view(1, 8, 6, 6), "view"),
        (lambda x: x.split((4, 4), 1)[0].repeat(1, 2, 1, 1), "split"),
        (lambda x: x + torch.ones(8, 1, 1, device="meta"), "add"),
        (lambda x: x.transpose(1, 2).transpose(1, 2), "transpose"),
        (lambda x: torch.cat([x], axis=1), "cat"),  # a form of the call that is not known
    ],
)
def test_an_unknown_operator_freezes_what_it_touches_and_is_named(operation, name):
    found, _ = follow(Toy(operation, out=8))
    assert free(found) == []
    assert any(f"`{name}` in " in block.frozen for block in found)


def test_writing_into_a_tensor_freezes_it():
    def overwrite(x: Tensor) -> Tensor:
        x[:, 2:] = 1
        return x

    assert free(follow(Toy(overwrite, out=8))[0]) == []


def test_a_layer_that_runs_twice_ties_both_readings():
    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b, self.shared = nn.Conv2d(3, 8, 1), nn.Conv2d(3, 8, 1), nn.Conv2d(8, 2, 1)

        def forward(self, x):
            return self.shared(self.a(x)) * self.shared(self.b(x))

    found, uses = follow(Model())
    (block,) = free(found)
    assert {uses[part.use] for part in block.parts} == {"a", "b", "shared"}


def test_a_block_nobody_knows_is_left_dense_and_named(yolo11n):
    class Mixer(nn.Module):
        def forward(self, x):
            return x.reshape(x.shape[0], 2, -1, *x.shape[2:]).transpose(1, 2).reshape(x.shape)

    model = deepcopy(yolo11n)
    mixer = Mixer()
    mixer.i, mixer.f, mixer.type = 1, -1, "Mixer"
    model.model[1] = nn.Sequential(model.model[1], mixer)
    model.model[1].i, model.model[1].f = 1, -1
    report = prune(model, square(IMGSZ), Pruning(0.3, L2(), round_to=4))
    layer = next(layer for layer in report.layers if layer.name == "model.1.0.conv")
    assert layer.width == (32, 32)
    assert says(layer.dense, "`reshape` in model.1.1 (Mixer) ... channels")
    assert report.reached == pytest.approx(0.3, abs=0.01)
