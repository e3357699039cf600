"""What layers take is recovered from networks whose times follow a known formula, and predicted for other widths."""

from dataclasses import replace

import numpy as np
import pytest

from helpers.random_models import build
from optimize.input_size import square
from optimize.measure.profile import LayerTime as ProfiledTime
from optimize.measure.profile import Profile
from optimize.pruner.latency.fit import errors, fit
from optimize.pruner.latency.networks import draw, traced
from optimize.pruner.latency.predict import PredictedLatency
from optimize.pruner.latency.samples import LatencySamples, LayerShape, NetworkTime, read, write
from optimize.pruner.latency.timing import by_known_layer

PROFILING = 1.25


def up(width: float, step: int) -> float:
    return -(-width // step) * step


def time_of(name: str, widths: tuple[int, ...]) -> float:
    """Layer `a` computes blocks of 16 channels, the depthwise `b` and `c` single ones."""
    if name == "a":
        outputs, inputs = (up(width, 16) for width in widths)
        return 0.1 + 1e-3 * outputs + 2e-3 * inputs + 1e-5 * outputs * inputs
    return 0.05 + 1e-3 * widths[0] if name == "b" else 0.2 + 1e-6 * widths[0] * widths[1]


def samples(profiled: bool = True, rest: float = 0.3, count: int = 16) -> LatencySamples:
    """Networks whose call takes `rest` beside their layers."""
    rng, networks = np.random.default_rng(0), []
    for _ in range(count):
        widths = {name: tuple(rng.integers(8, 129, size).tolist()) for name, size in (("a", 2), ("b", 1), ("c", 2))}
        times = {name: time_of(name, size) for name, size in widths.items()}
        layers = {name: PROFILING * time for name, time in times.items()} if profiled else None
        networks.append(NetworkTime(widths, rest + sum(times.values()), layers))
    shapes = {name: LayerShape(9.0 * 64, 64.0) for name in "abc"}
    conditions = ("0" * 16, square(64), "openvino", "1", "int8", "mixed", "cpu", 2, 0.01)
    return LatencySamples(*conditions, layers=shapes, networks=tuple(networks))


def test_every_layer_is_recovered_and_what_none_explains():
    fitted = fit(samples())
    assert fitted.profiling == pytest.approx(PROFILING, rel=1e-6)
    assert fitted.rest == pytest.approx(0.3, rel=1e-6)
    a, b, c = fitted.layers
    assert (a.layer, a.step) == ("a", 16)
    assert (a.fixed, a.per_output, a.per_input, a.per_pair) == pytest.approx((0.1, 1e-3, 2e-3, 1e-5), rel=1e-6)
    assert (b.layer, b.step, b.per_input, b.per_pair) == ("b", 1, 0, 0)
    assert (b.fixed, b.per_output) == pytest.approx((0.05, 1e-3), rel=1e-6)
    assert (c.layer, c.step) == ("c", 1)
    assert (c.fixed, c.per_pair) == pytest.approx((0.2, 1e-6), rel=1e-6)


def test_what_a_profiler_adds_to_each_call_of_a_kernel_is_not_in_the_prediction():
    """Layers took 0.35 ms beside what their widths decide, and 0.8 while they were profiled."""
    whole = samples(rest=0.0)
    profiled = [replace(n, layers={k: v + 0.15 for k, v in (n.layers or {}).items()}) for n in whole.networks]
    fitted = fit(replace(whole, networks=tuple(profiled)))
    assert fitted.rest == pytest.approx(0.0, abs=1e-9)
    assert sum(layer.fixed for layer in fitted.layers) == pytest.approx(0.35, rel=1e-6)
    assert [layer.per_pair for layer in fitted.layers] == pytest.approx([1e-5, 0, 1e-6], rel=1e-6)
    assert [fitted.milliseconds(n.widths) for n in whole.networks] == pytest.approx(
        [n.milliseconds for n in whole.networks], rel=1e-6
    )
    slower = [sum(n.layers.values()) for n in profiled], [n.milliseconds for n in whole.networks]
    assert fitted.profiling == pytest.approx(sum(slower[0]) / sum(slower[1]), rel=1e-6)


def without(network: NetworkTime, layer: str) -> NetworkTime:
    """The same network without a layer."""
    widths = {name: size for name, size in network.widths.items() if name != layer}
    layers = {name: time for name, time in (network.layers or {}).items() if name != layer}
    return NetworkTime(widths, network.milliseconds - time_of(layer, network.widths[layer]), layers)


def test_networks_without_some_layers_tell_what_calls_take_from_what_no_layer_explains():
    """The profiler adds 0.15 ms to each call, which may be slower than its kernels are; 0.3 ms are in no layer."""
    whole = samples()
    profiled = [replace(n, layers={k: v + 0.15 for k, v in (n.layers or {}).items()}) for n in whole.networks]
    some = tuple(without(n, "c") if i % 2 else n for i, n in enumerate(profiled))
    calls = {"a": 0.1, "b": 0.05, "c": 0.2}
    fitted = fit(replace(whole, networks=some))
    assert [fitted.milliseconds(n.widths) for n in some] == pytest.approx([n.milliseconds for n in some], rel=1e-6)
    in_profile = {name: PROFILING * time + 0.15 for name, time in calls.items()}
    share = calls["c"] / in_profile["c"]  # what two sets of layers can tell: the calls of those that are missing
    assert [one.fixed for one in fitted.layers] == pytest.approx([share * in_profile[n] for n in "abc"], rel=1e-6)
    others = [one for one in whole.networks if one not in some]
    assert [fitted.milliseconds(n.widths) for n in others] == pytest.approx([n.milliseconds for n in others], rel=1e-6)


def test_small_networks_may_take_less_than_their_layers_tell():
    whole = samples(rest=-0.2)
    some = tuple(without(n, "c") if i % 2 else n for i, n in enumerate(whole.networks))
    fitted = fit(replace(whole, networks=some))
    assert fitted.rest == pytest.approx(-0.2, rel=1e-6)
    assert [fitted.milliseconds(n.widths) for n in some] == pytest.approx([n.milliseconds for n in some], rel=1e-6)


def test_errors_are_those_of_networks_that_were_left_out():
    """One network that took twice as long as its widths say is told, since the others do not follow it."""
    whole = samples()
    assert errors(whole) == pytest.approx(np.zeros(15), abs=1e-6)  # of all but the original
    odd = replace(whole.networks[3], milliseconds=2 * whole.networks[3].milliseconds)
    found = errors(replace(whole, networks=(*whole.networks[:3], odd, *whole.networks[4:])))
    assert found[2] == pytest.approx(-0.5, abs=1e-6)


@pytest.mark.parametrize("profiled", [True, False])
def test_the_original_takes_what_it_was_timed_with(profiled):
    """All shares are of its time, so that it is met also where the other networks tell less."""
    whole = samples(profiled)
    first = replace(whole.networks[0], milliseconds=1.1 * whole.networks[0].milliseconds)
    some = replace(whole, networks=(first, *whole.networks[1:]))
    assert fit(some).milliseconds(first.widths) == pytest.approx(first.milliseconds, rel=1e-4)


def test_a_layer_that_is_fused_into_another_takes_nothing():
    whole = samples()
    fused = [replace(n, layers={k: v for k, v in n.layers.items() if k != "b"}) for n in whole.networks]
    fitted = fit(replace(whole, networks=tuple(fused)))
    assert fitted.layers[1].coefficients == (0, 0, 0, 0)
    assert [fitted.milliseconds(n.widths) for n in whole.networks] == pytest.approx(
        [n.milliseconds for n in whole.networks], rel=0.1
    )


def test_a_larger_step_is_not_taken_for_chance():
    """Where times are the same with and without rounding, the smaller step stays."""
    networks = tuple(
        NetworkTime({"a": (width, 64)}, 1e-3 * width, {"a": 1e-3 * width}) for width in (128, 64, 128, 64, 64)
    )
    conditions = ("0" * 16, square(64), "openvino", "1", "int8", "mixed", "cpu", 2, 0.01)
    fitted = fit(LatencySamples(*conditions, layers={"a": LayerShape(9.0, 1.0)}, networks=networks))
    assert fitted.layers[0].step == 1


def test_without_profiles_layers_share_what_a_multiply_add_and_a_value_take():
    networks, rng = [], np.random.default_rng(0)
    shapes = {"a": LayerShape(900.0, 100.0), "b": LayerShape(90.0, 10.0)}
    for _ in range(8):
        o, i = rng.integers(8, 65, 2).tolist()
        milliseconds = 0.5 + 1e-6 * 900 * o * i + 1e-5 * 90 * o + 1e-4 * (100 + 10) * o
        networks.append(NetworkTime({"a": (o, i), "b": (o,)}, milliseconds))
    conditions = ("0" * 16, square(64), "ncnn", "1", "int8", "", "cpu", 2, 0.01)
    fitted = fit(LatencySamples(*conditions, layers=shapes, networks=tuple(networks)))
    assert fitted.profiling is None
    predicted = [fitted.milliseconds(network.widths) for network in networks]
    assert predicted == pytest.approx([network.milliseconds for network in networks], rel=1e-6)


def test_without_profiles_networks_without_some_layers_tell_what_a_call_takes():
    networks, rng = [], np.random.default_rng(0)
    shapes = {"a": LayerShape(900.0, 100.0), "b": LayerShape(90.0, 10.0)}
    for number in range(12):
        o, i = rng.integers(8, 65, 2).tolist()
        widths, milliseconds = {"a": (o, i)}, 0.5 + 0.02 + 1e-6 * 900 * o * i + 1e-4 * 100 * o
        if number % 3:
            widths["b"], milliseconds = (o,), milliseconds + 0.02 + 1e-5 * 90 * o + 1e-4 * 10 * o
        networks.append(NetworkTime(widths, milliseconds))
    conditions = ("0" * 16, square(64), "ncnn", "1", "int8", "", "cpu", 2, 0.01)
    fitted = fit(LatencySamples(*conditions, layers=shapes, networks=tuple(networks)))
    assert [layer.fixed for layer in fitted.layers] == pytest.approx([0.02, 0.02], rel=1e-6)
    assert fitted.rest == pytest.approx(0.5, rel=1e-6)


def test_networks_of_other_layers_are_refused():
    whole = samples()
    with pytest.raises(ValueError, match="other layers"):
        LatencySamples(**{**vars(whole), "layers": {"a": LayerShape(1.0, 1.0)}})


def test_a_file_in_which_one_network_alone_has_a_layer_is_no_table(tmp_path):
    """Nothing could be fitted to that layer once the network is left out."""
    whole = samples(count=3)
    write(whole, tmp_path / "table.json")
    assert read(tmp_path / "table.json") == whole
    for alone in (0, 1):
        networks = [n if i == alone else without(n, "c") for i, n in enumerate(whole.networks)]
        write(replace(whole, networks=tuple(networks)), tmp_path / "table.json")
        assert read(tmp_path / "table.json") is None


def test_a_prediction_is_the_sum_over_the_layers_at_the_widths_that_blocks_keep():
    source = traced(build("yolo11n").float(), square(64))
    rng, networks = np.random.default_rng(0), []
    drawn = draw(source, 6, seed=0)
    for one in drawn:
        widths = source.widths(one)
        times = {name: 1e-3 * (1 + 1e-3 * np.prod(size)) * rng.uniform(0.9, 1.1) for name, size in widths.items()}
        networks.append(NetworkTime(widths, sum(times.values()), times))
    conditions = ("0" * 16, square(64), "openvino", "1", "int8", "mixed", "cpu", 2, 0.01)
    shapes = dict.fromkeys(source.layers, LayerShape(1.0, 1.0))
    fitted = fit(LatencySamples(*conditions, layers=shapes, networks=tuple(networks)))
    predicted = PredictedLatency(fitted, source.trace, source.blocks)
    assert any(one.gone for one in drawn)
    for one in drawn:
        expected = fitted.milliseconds(source.widths(one))
        assert predicted(one.kept, one.gone) == pytest.approx(expected, rel=1e-9)


def test_kernels_without_weights_count_for_the_layer_before_them():
    layers = [("", 1.0), ("a", 2.0), ("pool", 4.0), ("b.fused", 8.0), ("cat", 16.0)]
    profile = Profile(tuple(ProfiledTime(name, ms, 0, 0, "fp32") for name, ms in layers), calls=30, slowed=2.0)
    assert by_known_layer(profile, ["a", "b"], {"b.fused": "b"}, {}) == {"a": 3.5, "b": 12.0}


def test_what_is_cut_and_concatenated_for_blocks_counts_for_the_last_layers_of_these_blocks():
    times = {"c2f.cv1": 1.0, "c2f": 8.0, "c2f.m.0.cv2": 2.0, "c2f.m.1.cv2": 4.0, "c2f.cv2": 16.0, "empty": 32.0}
    profile = Profile(tuple(ProfiledTime(name, ms, 0, 0, "fp32") for name, ms in times.items()), calls=30)
    known = ["c2f.cv1", "c2f.m.0.cv1", "c2f.m.0.cv2", "c2f.m.1.cv1", "c2f.m.1.cv2", "c2f.cv2"]
    cutting = {"c2f": ("c2f.m.0", "c2f.m.1"), "empty": ()}
    expected = {"c2f.cv1": 1.0, "c2f.m.0.cv2": 6.0, "c2f.m.1.cv2": 8.0, "c2f.cv2": 48.0}
    assert by_known_layer(profile, known, {}, cutting) == expected
