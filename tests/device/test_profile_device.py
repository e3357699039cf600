"""This machine as a device profile: measured until it is sure, and of the same schema as the shipped ones."""

import os
import re
from dataclasses import replace

import pytest

from helpers.messages import like, says
from optimize import profile_device
from optimize.device.bound import bounds
from optimize.device.device import load
from optimize.errors import InputError, MeasurementError
from optimize.input_size import square
from optimize.measure import machine
from optimize.measure.operations import count
from optimize.measure.roofline import Machine
from optimize.yolo.checkpoint import deployed


def test_a_measured_profile_bounds_each_runtime_by_its_own_figures(yolo11n, monkeypatch):
    monkeypatch.setattr(profile_device.cpu, "caches", lambda: 1e9)
    peaks, speeds = {"openvino": {"fp32": 100.0}, "onnxruntime": {"fp32": 80.0}}, {"openvino": 9e9, "onnxruntime": 9e9}
    found = Machine(peaks, speeds, speeds)
    cost = count(deployed(yolo11n), square(64))
    fast, slow = bounds(cost, profile_device.device(found, threads=1, tries=2))
    assert (fast.unit, fast.bound_ms) == ("openvino", pytest.approx(cost.flops / 100e6))
    assert (slow.unit, slow.bound_ms) == ("onnxruntime", pytest.approx(cost.flops / 80e6))
    starved = replace(found, cache_bandwidth={"openvino": 1e-3, "onnxruntime": 1e-3})
    moved = sum(layer.weight_bytes + layer.read_bytes + layer.written_bytes for layer in cost.layers if layer.flops)
    assert bounds(cost, profile_device.device(starved, threads=1, tries=2))[0].bound_ms == pytest.approx(moved / 1e3)


def test_a_measured_profile_has_the_same_schema(monkeypatch, tmp_path, capsys):
    found = Machine({"openvino": {"fp32": 123.4564}}, {"openvino": 20.0}, {"openvino": 50.0})
    asked = []
    monkeypatch.setattr(machine, "measure_machine", lambda *given: asked.append(given) or found)
    monkeypatch.setattr("sys.argv", ["profile_device", str(tmp_path / "here.yaml"), "--threads", "2"])
    profile_device.main()
    here = load(str(tmp_path / "here.yaml"))
    (runtimes, threads, _), _ = asked
    assert (set(runtimes), threads) == ({"openvino", "onnxruntime"}, 2)
    assert (here.peaks["openvino"]["fp32"].value, here.bandwidth["openvino"].value) == (123.46, 20.0)
    assert here.cache_bandwidth["openvino"].value == 50.0
    assert here.memory.value > 0.1
    kinds = {here.peaks["openvino"]["fp32"], here.bandwidth["openvino"], here.cache["openvino"], here.memory}
    assert {one.kind for one in kinds} == {"measured"}
    load_average = r"load average [\d.]+, " if hasattr(os, "getloadavg") else ""
    assert all(re.search(rf"2 threads, {load_average}\d{{4}}-\d\d-\d\d$", one.source) for one in kinds)
    assert re.search(r"openvino \d{4}\.", here.peaks["openvino"]["fp32"].source)
    assert says(capsys.readouterr().out, "openvino ... 123.46 in fp32 ... operations a second ... 20 GB/s from memory")


FIRST = Machine({"openvino": {"fp32": 100.0}}, {"openvino": 20.0}, {"openvino": 40.0})


def test_what_is_measured_twice_must_agree():
    second = Machine({"openvino": {"fp32": 86.0}}, {"openvino": 23.0}, {"openvino": 35.0})
    better = Machine({"openvino": {"fp32": 100.0}}, {"openvino": 23.0}, {"openvino": 40.0})
    assert profile_device.unsure([FIRST, second]) == []
    assert profile_device.best([FIRST, second]) == profile_device.best([second, FIRST]) == better


@pytest.mark.parametrize(
    ("again", "figure"),
    [
        ({"peaks": {"openvino": {"fp32": 84.0}}}, ("openvino in fp32", 100.0, 84.0, "operations")),
        ({"peaks": {"openvino": {}}}, ("openvino in fp32", 100.0, 0.0, "operations")),
        ({"bandwidth": {"openvino": 24.0}}, ("openvino from memory", 24.0, 20.0, "bytes")),
        ({"cache_bandwidth": {"openvino": 33.0}}, ("openvino from the caches", 40.0, 33.0, "bytes")),
    ],
)
def test_a_figure_whose_two_best_values_differ_is_measured_again(again, figure, monkeypatch):
    tries = [FIRST, replace(FIRST, **again), replace(FIRST, bandwidth={"openvino": 23.5})]
    assert profile_device.unsure(tries[:1]) and profile_device.unsure(tries[:2]) == [figure]
    left = iter(tries)
    monkeypatch.setattr(profile_device.machine, "measure_machine", lambda *_: next(left))
    made = profile_device.measure_device(threads=1)
    assert made.peaks["openvino"]["fp32"].value == 100
    assert "the best of 90 calls" in made.peaks["openvino"]["fp32"].source


def test_where_no_two_of_the_best_agree_no_profile_is_made(monkeypatch):
    speeds = iter(range(20, 28))
    monkeypatch.setattr(
        profile_device.machine,
        "measure_machine",
        lambda *_: replace(FIRST, bandwidth={"openvino": 1.2 ** next(speeds)}),
    )
    parts = "openvino from memory ... 137 billion bytes ... 114 ... 8 tries ... no profile ... again on a quiet machine"
    with pytest.raises(MeasurementError, match=like(parts)):
        profile_device.measure_device(threads=1)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["{}/none/here.yaml"], "{}/none/here.yaml can't be written ... a folder that exists"),
        (["{}/here.yaml", "--threads", "0"], "--threads 0 ... 1 or more"),
    ],
)
def test_a_profile_that_can_not_be_made_is_one_sentence(words, sentence, tmp_path, monkeypatch):
    monkeypatch.setattr("sys.argv", ["profile_device", *(word.format(tmp_path) for word in words)])
    with pytest.raises(InputError) as error:
        profile_device.main()
    assert says(str(error.value), sentence.format(tmp_path))
    assert not list(tmp_path.iterdir())
