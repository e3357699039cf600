"""Counts written as their formula, and equal to the published figures."""

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode
from ultralytics.nn.tasks import DetectionModel

from optimize.errors import MeasurementError
from optimize.input_size import square
from optimize.measure.operations import count
from optimize.yolo.checkpoint import deployed


def test_one_convolution_by_its_formula():
    net = nn.Sequential(nn.Conv2d(3, 8, 3, stride=2, padding=1), nn.SiLU())
    cost = count(net, square(32))
    assert cost.flops == 2 * (3 * 3 * 3) * 8 * 16 * 16
    assert cost.macs * 2 == cost.flops
    assert cost.parameters == 3 * 3 * 3 * 8 + 8
    assert cost.weight_bytes == 4 * cost.parameters
    assert cost.activation_bytes == 2 * 4 * 8 * 16 * 16  # the convolution and SiLU write one map each
    assert cost.uncounted == ("aten.silu",)


def test_attention_is_counted_also_where_torch_has_no_formula():
    class Attention(nn.Module):
        def forward(self, x):
            tokens = x.reshape(1, 1, -1, 4)
            return nn.functional.scaled_dot_product_attention(tokens, tokens, tokens)

    tokens = 3 * 16 * 16 // 4
    assert count(Attention().eval(), square(16)).flops == 2 * 2 * tokens * tokens * 4


def test_work_belongs_to_the_module_that_called_it_also_for_a_shared_activation():
    act = nn.ReLU()
    net = nn.Sequential(nn.Sequential(nn.Conv2d(3, 4, 1), act), nn.Sequential(nn.Conv2d(4, 4, 1), act))
    written = {layer.name: layer.activation_bytes for layer in count(net, square(8)).layers}
    one_map = 4 * 4 * 8 * 8
    assert written == {"0": one_map, "0.0": one_map, "1": one_map, "1.0": one_map}


def test_an_operator_without_a_formula_gives_no_total():
    class Grid(nn.Module):
        def forward(self, x):
            return torch.ops.aten._pdist_forward(x.reshape(3, -1)), torch.ops.aten.addr(x[0, 0], x[0, 0, 0], x[0, 0, 0])

    class Linear(nn.Module):
        def forward(self, x):
            return torch.ops.aten.addmv(x[0, 0, 0], x[0, 0], x[0, 0, 0])

    count(Grid(), square(8))  # distances and outer products are not of the convention
    with pytest.raises(MeasurementError, match="addmv has no FLOPs formula"):
        count(Linear(), square(8))


@pytest.mark.parametrize(("name", "published"), [("yolov8n", (8.7,)), ("yolo11n", (6.5,)), ("yolo26n", (5.4, 5.5))])
def test_stock_models_have_their_published_gflops(name, published):
    model = deployed(DetectionModel(f"{name}.yaml", verbose=False))
    cost = count(model, square(640))
    assert round(cost.flops / 1e9, 1) in published
    with FlopCounterMode(display=False) as reference, torch.no_grad():
        model(torch.zeros(1, 3, 640, 640))
    assert cost.flops == reference.get_total_flops()
    assert cost.parameters == sum(p.numel() for p in model.parameters())
