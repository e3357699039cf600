"""The limit of a layer and of a variant by their formulas, and what they are held against by a small benchmark."""

from dataclasses import replace

import pytest

from helpers import reports
from optimize.input_size import square
from optimize.measure import machine
from optimize.measure.by_block import Block, block, blocks
from optimize.measure.cost import Cost, Layer
from optimize.measure.profile import LayerTime, Profile, interleaved
from optimize.measure.roofline import CACHED, LayerLimit, Machine, limit
from optimize.report.sections import limits as roofline
from optimize.report.sections import saved as by_block
from optimize.runtime.onnxruntime import OnnxRuntime
from optimize.runtime.openvino import OpenVino, cpu_computes_bf16
from optimize.runtime.torch import Torch
from optimize.variant import Variant
from optimize.yolo import checkpoint as yolo

RUNTIMES = {runtime.info.name: runtime for runtime in (OnnxRuntime(), OpenVino())}
MACHINE = Machine({"openvino": {"fp32": 100.0, "int8": 400.0}}, {"openvino": 20.0}, {"openvino": 50.0})


def profile(*layers: LayerTime) -> Profile:
    return Profile(layers, calls=24)


def test_a_layer_is_bound_by_the_slower_of_computing_and_moving():
    found = limit(
        profile(
            LayerTime("a", 9.0, ops=800_000_000, bytes=1_000_000, arithmetic="fp32"),
            LayerTime("b", 9.0, ops=800_000_000, bytes=1_000_000, arithmetic="int8"),
            LayerTime("c", 9.0, ops=1_000_000, bytes=8_000_000, arithmetic="fp32"),
            LayerTime("", 9.0, ops=0, bytes=40_000_000, arithmetic="i32"),
        ),
        "openvino",
        MACHINE,
        latency_ms=20.0,
    )
    assert found.layers == (
        LayerLimit("a", intensity=800.0, bound_ms=8.0, bound="compute"),
        LayerLimit("b", intensity=800.0, bound_ms=2.0, bound="compute"),
        LayerLimit("c", intensity=0.125, bound_ms=0.16, bound="memory"),  # from the caches
        LayerLimit("", intensity=0.0, bound_ms=2.0, bound="memory"),  # from memory
    )
    assert 8_000_000 <= CACHED < 40_000_000
    assert found.bound_ms == 8.0 + 2.0 + 0.16 + 2.0
    assert found.closeness == found.bound_ms / 20.0
    assert found.shares == {"compute": 10.0 / 20.0, "memory": 2.16 / 20.0, "overhead": 1 - found.closeness}
    assert found.bound == "compute"


@pytest.mark.parametrize(("latency", "bound"), [(10.0, "compute"), (15.0, "compute"), (17.0, "overhead")])
def test_what_bounds_a_variant_is_the_largest_share_of_its_latency(latency, bound):
    layer = LayerTime("a", 9.0, ops=800_000_000, bytes=0, arithmetic="fp32")
    assert limit(profile(layer), "openvino", MACHINE, latency).bound == bound


def test_faster_than_the_limit_is_said_as_it_is():
    found = limit(profile(LayerTime("a", 3.0, 800_000_000, 0, "fp32")), "openvino", MACHINE, latency_ms=4.0)
    assert found.closeness == 2.0
    assert found.shares == {"compute": 2.0, "memory": 0.0, "overhead": -1.0}
    assert found.bound == "compute"


def test_without_the_peak_there_is_no_limit():
    layer = LayerTime("a", 9.0, ops=8, bytes=8, arithmetic="bf16")
    assert limit(profile(layer), "openvino", MACHINE, 1.0) is None
    assert limit(profile(replace(layer, arithmetic="fp32")), "onnxruntime", MACHINE, 1.0) is None
    assert limit(profile(replace(layer, ops=0)), "openvino", MACHINE, 1.0) is not None


@pytest.mark.parametrize("name", RUNTIMES)
@pytest.mark.parametrize("quantized", [False, True])
def test_the_benchmark_runs_in_the_arithmetic_that_it_asks_for(name, quantized, tmp_path, monkeypatch):
    monkeypatch.setattr(machine, "SIZE", 16)
    machine.write_convolutions(tmp_path / "x.onnx", quantized=quantized)
    subject = (RUNTIMES[name].profiler, Variant(tmp_path / "x.onnx", name, "fp32", square(16)))
    (found,) = interleaved([subject], threads=1)
    layers = [layer for layer in found.layers if layer.ops]
    one = 2 * 64 * 64 * 9 * 16 * 16
    assert [layer.ops for layer in layers] == [one, one, one, one // 2, one, one, one // 2, one, one]
    asked, other = ("int8", "fp32") if quantized else ("fp32", "int8")
    assert {layer.arithmetic for layer in layers} == {asked}
    assert machine.peak(found, asked) == max(layer.ops / layer.milliseconds / 1e6 for layer in layers)
    assert machine.peak(found, other) is None


@pytest.mark.parametrize("name", RUNTIMES)
def test_bandwidth_is_that_of_a_tensor_which_is_read_and_written(name, tmp_path):
    machine.write_copies(tmp_path / "x.onnx", (1, 64, 64, 64))
    subject = (RUNTIMES[name].profiler, Variant(tmp_path / "x.onnx", name, "fp32", square(64)))
    (found,) = interleaved([subject], threads=1)
    write, read = found.layers
    assert write.bytes == 2 * 2**20
    assert 2**20 + 4 * 64 <= read.bytes <= 2**20 + 4 * 64 + 16  # the mean of each channel, and which axes it is over
    assert machine.bandwidth(found) == max(layer.bytes / layer.milliseconds / 1e6 for layer in found.layers)


def test_a_machine_is_what_the_profiles_ask_for(monkeypatch, tmp_path):
    monkeypatch.setattr(machine, "SIZE", 16)
    monkeypatch.setattr(machine, "MOVED", {"memory": (1, 64, 64, 64), "cache": (1, 4, 64, 64)})
    path = tmp_path / "x.onnx"
    machine.write_convolutions(path, quantized=False)
    names = [("openvino", kind) for kind in ("fp32", "bf16" if cpu_computes_bf16() else "fp32")]
    subjects = [(RUNTIMES[name].profiler, Variant(path, name, kind, square(16))) for name, kind in names]
    profiles, found = machine.measure(
        [*subjects, (Torch().profiler, Variant(path, "torch", "fp32", square(16)))], threads=1
    )
    assert [known is not None for known in profiles] == [True, True, False]
    assert found.peaks.keys() == found.bandwidth.keys() == found.cache_bandwidth.keys() == {"openvino"}
    assert found.peaks["openvino"].keys() == {kind for _, kind in names}
    assert all(peak > 0 for peak in found.peaks["openvino"].values())
    assert machine.measure([(Torch().profiler, Variant(path, "torch", "fp32", square(16)))], threads=1) == (
        (None,),
        None,
    )


def test_blocks_add_up_operations_and_times_of_their_layers():
    def costs(*flops: int) -> Cost:
        names = ("model.0.conv", "model.2.cv1.conv", "model.2.cv2.conv", "model.10")
        return Cost(tuple(Layer(n, "Conv2d", f, 1, 4, 4) for n, f in zip(names, flops, strict=True)), ())

    def times(*milliseconds: float) -> Profile:
        names = ("model.0.conv", "model.2.cv1.conv", "model.2", "model.11", "")
        return profile(*(LayerTime(n, t, 0, 1, "fp32") for n, t in zip(names, milliseconds, strict=True)))

    found = blocks((costs(8, 4, 2, 0), costs(8, 1, 2, 0)), (times(1, 2, 4, 8, 16), times(1, 0.5, 4, 8, 0)))
    assert found == (
        Block("model.0", (8, 8), (1, 1)),
        Block("model.2", (6, 3), (6, 4.5)),
        Block("model.11", (0, 0), (8, 8)),
        Block("", (0, 0), (16, 0)),
    )
    assert [block(name) for name in ("model.22.cv2.0.2", "model.9", "", "model")] == ["model.22", "model.9", "", ""]


def test_the_report_shows_savings_by_block_for_each_runtime_and_precision():
    tables = by_block.section(reports.report()).tables
    titles = [table.title for table in tables]
    assert [title.split(" (")[0] for title in titles] == [
        "pruned against original on onnxruntime",
        "pruned+int8 against int8 on onnxruntime",
        "pruned against original on openvino",
        "pruned+int8 against int8 on openvino",
    ]
    assert all("(kernels add up to 100% and 100% of the latency)" in title for title in titles)
    assert ("model.1", "C2f", "800.0 -> 560.0", "30%", "7.200 -> 5.256", "27%", "+1.944") in tables[0].rows
    assert ("all", "", "1000.0 -> 700.0", "30%", "10.000 -> 7.300", "27%", "+2.700") in tables[0].rows
    alone = tuple(result for result in reports.report().results if "pruned" not in result.variant.tags)
    assert by_block.section(reports.report(results=alone)) is None


def test_the_report_shows_how_close_each_variant_is():
    found = roofline.section(reports.report())
    rows = found.tables[0].rows
    # 1 GFLOP at 200 GFLOPS is 5 of 10 ms; what moves 10 kB at 60 GB/s takes 0.2 us
    assert ("original", "onnxruntime", "5.00", "10.00", "50%", "50%", "0%", "50%", "compute") in rows
    assert ("int8", "openvino", "1.11", "4.80", "23%", "23%", "0%", "77%", "overhead") in rows
    assert not any("torch" in row for row in rows)
    assert any("250 GFLOPS in fp32, 500 GFLOPS in bf16, 900 GOPS in int8, 22 GB/s" in one for one in found.sources)
    assert roofline.section(reports.report(machine=None)) is None


def test_blocks_are_named_by_their_kind(checkpoint):
    found = yolo.blocks(yolo.load(checkpoint))
    assert list(found) == [f"model.{i}" for i in range(23)]
    assert (found["model.0"], found["model.2"], found["model.9"], found["model.22"]) == (
        "Conv",
        "C2f",
        "SPPF",
        "Detect",
    )
