"""The bounds by their formulas."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from helpers.boards import device, figure
from optimize.device.bound import WINOGRAD, Roofs, bounds, limit
from optimize.device.device import load
from optimize.input_size import square
from optimize.measure.cost import Cost, Layer
from optimize.measure.operations import count
from optimize.yolo.checkpoint import deployed


def test_what_no_software_can_avoid_is_counted_at_convolutions_and_linear_layers():
    class Network(nn.Module):
        def __init__(self):
            super().__init__()
            self.small = nn.Conv2d(3, 8, 3, padding=1)
            self.strided = nn.Conv2d(8, 16, 3, stride=2, padding=1)
            self.dilated = nn.Conv2d(16, 16, 3, dilation=2, padding=2)
            self.point = nn.Conv2d(16, 4, 1)
            self.linear = nn.Linear(16, 5)

        def forward(self, image):
            maps = self.point(self.dilated(self.strided(nn.functional.silu(self.small(image)))))
            return self.linear(maps.flatten(2)) @ torch.ones(5, 2)

    found = {layer.name: layer for layer in count(Network(), square(8)).layers}
    moved = {name: (layer.read_bytes, layer.written_bytes, layer.winograd_flops) for name, layer in found.items()}
    product = moved.pop("", None)
    assert moved == {
        "small": (4 * 3 * 8 * 8, 4 * 8 * 8 * 8, 2 * 3 * 9 * 8 * 8 * 8),
        "strided": (4 * 8 * 8 * 8, 4 * 16 * 4 * 4, 0),
        "dilated": (4 * 16 * 4 * 4, 4 * 16 * 4 * 4, 0),
        "point": (4 * 16 * 4 * 4, 4 * 4 * 4 * 4, 0),
        "linear": (4 * 4 * 16, 4 * 4 * 5, 0),
    }
    assert product[2] == 0


LAYER = Layer("a", "Conv2d", 400_000_000, 0, 400_000, 0, 4_000_000, 3_000_000, 300_000_000)
ROOFS = Roofs(peak=100.0, bandwidth=10.0, cache_bandwidth=None, cache=1e6, width=4)


@pytest.mark.parametrize(
    ("roofs", "milliseconds", "bound"),
    [
        ({}, 4.0, "compute"),
        ({"peak": 1000.0}, (4.4 - 1 + 3 - 1) / 10, "memory"),
        ({"peak": 1000.0, "cache": 0.0}, (4.4 + 3) / 10, "memory"),
        ({"peak": 1e4, "cache": 3.5e6}, (4.4 - 3.5) / 10, "memory"),
        ({"peak": 1000.0, "cache": 5e6}, 0.4, "compute"),
        ({"peak": 1000.0, "cache": 5e6, "cache_bandwidth": 5.0}, 7.4 / 5, "memory"),
        ({"peak": 1e5, "width": 1}, (1.1 - 1) / 10, "memory"),
        ({"peak": 1000.0, "cache": None}, 0.4, "compute"),
        ({"peak": 1000.0, "bandwidth": None}, 0.4, "compute"),
    ],
)
def test_a_layer_takes_at_least_what_its_operations_and_what_no_cache_holds_take(roofs, milliseconds, bound):
    found = limit(LAYER, replace(ROOFS, **roofs))
    assert (found.bound_ms, found.bound) == (pytest.approx(milliseconds), bound)
    assert found.intensity == 400_000_000 / (7_400_000 * roofs.get("width", 4) / 4)


def test_winograd_multiplies_less_in_small_convolutions_only():
    assert WINOGRAD == (6 + 2) ** 2 / (6 * 6 * 3 * 3)
    assert limit(LAYER, ROOFS, winograd=True).bound_ms == pytest.approx((100 + 300 * WINOGRAD) / 100)
    assert limit(replace(LAYER, winograd_flops=0), ROOFS, winograd=True).bound_ms == 4.0


def test_a_model_has_a_bound_in_each_arithmetic_and_without_a_peak_only_its_memory_counts():
    cost = Cost((LAYER, replace(LAYER, name="b"), Layer("silu", "SiLU", 0, 0, 0, 9_000_000)), ())
    fp32, int8 = bounds(cost, device())
    assert (fp32.unit, fp32.arithmetic, fp32.bound_ms) == ("cpu", "fp32", 8.0)
    assert (int8.arithmetic, int8.bound_ms) == ("int8", 2.0)
    assert [layer.name for layer in fp32.layers] == ["a", "b"]
    assert fp32.winograd_ms == pytest.approx(2 * (100 + 300 * WINOGRAD) / 100)
    assert (fp32.memory, int8.memory) == (800_000 + 7_000_000, (800_000 + 7_000_000) / 4)
    some = device(peaks={"gpu": {"fp16": figure(None), "fp32": figure(1.0)}}, bandwidth={"gpu": figure(None)})
    unknown, slow = bounds(cost, replace(some, cache={"gpu": figure(None)}, memory=figure(0.0038)))
    assert (unknown.unit, unknown.arithmetic, unknown.memory, unknown.fits) == ("gpu", "fp16", 7_800_000 / 2, False)
    assert (unknown.layers, unknown.bound_ms, unknown.winograd_ms) == (None, None, None)
    assert (slow.unit, slow.arithmetic, slow.bound_ms) == ("gpu", "fp32", 800.0)


@pytest.mark.parametrize(("memory", "fits"), [(0.0078, True), (0.0077, False), (None, None)])
def test_a_model_fits_where_its_weights_and_its_largest_layer_do(memory, fits):
    cost = Cost((LAYER, replace(LAYER, name="b")), ())
    assert bounds(cost, device(memory=figure(memory)))[0].fits is fits


def test_the_bound_is_the_flops_over_the_peak_where_the_caches_hold_every_layer(yolo11n):
    cost = count(deployed(yolo11n), square(64))
    (bound,) = [b for b in bounds(cost, load("raspberry-pi-5")) if b.arithmetic == "fp32"]
    assert bound.bound_ms == pytest.approx(cost.flops / 153.6e6)
    assert bound.winograd_ms < bound.bound_ms
