"""The networks that are timed: their widths differ, and they are what a runtime deploys."""

import numpy as np
import onnx
import pytest

from helpers.random_models import build
from optimize.host.cpu import int8_cpu
from optimize.input_size import square
from optimize.measure.operations import count
from optimize.measure.profile import LayerTime, Profile
from optimize.pruner.latency import make
from optimize.pruner.latency.deployment import Deployment
from optimize.pruner.latency.networks import STEP, Drawn, architecture, deploy, draw, made, traced
from optimize.runtime.onnxruntime import OnnxRuntime
from optimize.runtime.openvino import OpenVino
from optimize.yolo.checkpoint import deployed
from optimize.yolo.depth import removable

SIZE = square(64)


@pytest.fixture(scope="module")
def source():
    return traced(build("yolo11n").float(), SIZE)


def test_widths_are_random_and_the_first_network_is_the_original(source):
    networks = draw(source, 16, seed=0)
    units = [one.kept for one in networks]
    full = [block.units for block in source.blocks]
    assert units[0].tolist() == full
    frozen = [bool(block.frozen) for block in source.blocks]
    for one in networks[1:]:
        assert all(k == f for k, f, fixed in zip(one.kept, full, frozen, strict=True) if fixed)
        for layer, widths in source.widths(one).items():
            assert all(w == f or w % STEP == 0 for w, f in zip(widths, source.full[layer], strict=True))
    free = ~np.array(frozen)
    assert np.linalg.matrix_rank(np.array(units)[:, free]) == 16  # no network is a mix of the others


@pytest.mark.parametrize("runtime", [OnnxRuntime(), OpenVino()], ids=lambda runtime: runtime.info.name)
def test_a_network_is_deployed_with_its_widths(source, runtime, tmp_path):
    drawn = draw(source, 3, seed=0)[2]
    assert drawn.gone
    variant = deploy(made(source, drawn, 0), runtime, "int8", SIZE, tmp_path / "one", int8_cpu())
    assert (variant.runtime, variant.precision) == (runtime.info.name, "int8")
    graph = runtime.count(variant)
    assert graph.ops == count(deployed(made(source, drawn, 0)), SIZE).flops
    if runtime.info.name == "onnxruntime":
        weights = {tensor.name: tensor for tensor in onnx.load(variant.path).graph.initializer}
        first = next(tensor for name, tensor in weights.items() if name.startswith("model.0.conv.weight"))
        assert first.dims[0] == source.widths(drawn)["model.0.conv"][0]


def test_every_second_network_lacks_blocks_so_that_all_layers_are_in_the_others(source):
    original, *others = draw(source, 16, seed=0)
    lacking = [bool(one.gone) for one in (original, *others)]
    assert lacking == [False] + [False, True] * 7 + [False]
    assert set(source.widths(others[0])) == set(source.layers)
    left = source.widths(others[1])
    assert set(source.layers) - set(left) == {
        layer for layer in source.layers if any(branch.holds(layer) for branch in others[1].gone)
    }


def test_layers_after_a_block_that_is_gone_have_the_names_that_they_have_in_the_original():
    source = traced(build("yolov8n").float(), SIZE)
    full = np.array([block.units for block in source.blocks])
    first = next(branch for branch in removable(source.model) if branch.name == "model.4.m.0")
    times = {"model.4.cv1.conv": 1.0, "model.4": 2.0, "model.4.m.0.cv1.conv": 4.0, "model.4.m.0.cv2.conv": 8.0}
    profile = Profile(tuple(LayerTime(name, ms, 0, 0, "int8") for name, ms in times.items()), calls=30)
    assert make.by_layer(source, Drawn(full), profile) == {
        "model.4.cv1.conv": 1.0,
        "model.4.m.0.cv1.conv": 4.0,
        "model.4.m.0.cv2.conv": 9.0,
        "model.4.m.1.cv2.conv": 1.0,
    }
    assert make.by_layer(source, Drawn(full, (first,)), profile) == {
        "model.4.cv1.conv": 1.0,
        "model.4.m.1.cv1.conv": 4.0,
        "model.4.m.1.cv2.conv": 10.0,
    }


def test_the_architecture_is_told_by_its_shapes_not_its_weights(source):
    drawn = draw(source, 2, seed=0)[1]
    assert architecture(made(source, drawn, 0)) == architecture(made(source, drawn, 1))
    assert architecture(made(source, drawn, 0)) != architecture(source.model)


def test_a_table_is_measured_once(source, tmp_path, monkeypatch):
    monkeypatch.setattr(make, "NETWORKS", 2)
    monkeypatch.setattr(make.timing, "steady", lambda measure, _: measure())  # this machine may be busy
    conditions = {"threads": 1, "cpu": "a cpu", "recipe": "u8s8", "version": "1", "store": tmp_path}
    here = Deployment("onnxruntime", "fp32", runtime=OnnxRuntime(), **conditions)
    first = make.samples_of(source, SIZE, here, seed=0)
    assert len(first.networks) == 2
    assert first.networks[0].widths == source.full
    assert set(first.layers) == set(source.layers)
    for network in first.networks:
        assert sum(network.layers.values()) > 0
    (file,) = tmp_path.glob("*.latency.json")
    monkeypatch.setattr(make, "measure", lambda *_: pytest.fail("it was measured already"))
    assert make.samples_of(source, SIZE, here, seed=0) == first
    file.write_text("{}")
    with pytest.raises(pytest.fail.Exception):
        make.samples_of(source, SIZE, here, seed=0)


def test_what_a_killed_run_left_is_made_again(source, tmp_path, monkeypatch):
    monkeypatch.setattr(make, "NETWORKS", 2)
    monkeypatch.setattr(make, "measure", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    here = Deployment("onnxruntime", "fp32", 1, "a cpu", "", "1", runtime=OnnxRuntime(), store=tmp_path)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            make.samples_of(source, SIZE, here, seed=0)
    assert [path.suffix for path in tmp_path.iterdir() if path.is_dir()] == [".partial"]
