"""Several images in a call give what each gives alone, for every family and any batch."""

from dataclasses import replace

import numpy as np
import onnx
import pytest
from ultralytics import YOLO

from helpers import reports
from helpers.lively import blocks, lively
from helpers.messages import says
from helpers.quantized import quantized
from optimize.batches import with_throughput
from optimize.checks import check_batches
from optimize.errors import InputError
from optimize.input_size import square
from optimize.judge import Judge
from optimize.measure import throughput
from optimize.measure.throughput import ROUNDS, Load, Rate, measure
from optimize.report.sections import throughput as section
from optimize.runtime.ncnn import Ncnn
from optimize.runtime.onnxruntime import OnnxRuntime
from optimize.runtime.openvino import OpenVino
from optimize.runtime.torch import Torch
from optimize.variant import Variant
from optimize.yolo.dataset import resolve

RUNTIMES = [pytest.param(runtime, id=runtime.info.name) for runtime in (OnnxRuntime(), OpenVino())]
FAMILIES = "yolov5n", "yolov8n", "yolov9t", "yolov10n", "yolo11n", "yolo12n", "yolo26n"
IMAGES = blocks(3, 1).astype(np.float32) / 255


def together_and_alone(runtime, variant: Variant, path) -> tuple[np.ndarray, np.ndarray]:
    alone, whole = (runtime.batching.open_model(file, variant.precision, 1)[0] for file in (variant.path, path))
    return whole(IMAGES)[0], np.concatenate([alone(image[None])[0] for image in IMAGES])


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("family", FAMILIES)
def test_images_of_one_call_give_what_each_gives_alone(family, runtime, tmp_path):
    weights = lively(f"{family}.yaml", tmp_path / "tiny.pt", classes=3)
    variant = runtime.export(Variant(weights, "torch", "fp32", square(64)), tmp_path)
    for batch in (3, None):
        target = tmp_path / f"b{batch}{variant.ending}"
        runtime.batching.write(variant.path, target, batch)
        found, expected = together_and_alone(runtime, variant, target)
        assert found.shape == (3, 7, 84) and np.ptp(expected[:, 4:]) > 0.01
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-3)
        assert runtime.metadata(target)["names"] == runtime.metadata(variant.path)["names"]


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_int8_keeps_its_ranges(runtime, tmp_path, dataset):
    weights = lively("yolov8n.yaml", tmp_path / "tiny.pt", classes=2)
    variant = runtime.export(Variant(weights, "torch", "fp32", square(64)), tmp_path)
    (tmp_path / "int8").mkdir()
    variant = quantized(variant, resolve(str(dataset), "detect"), tmp_path / "int8")
    target = tmp_path / f"b3{variant.ending}"
    runtime.batching.write(variant.path, target, 3)
    found, expected = together_and_alone(runtime, variant, target)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-3)


@pytest.mark.command
def test_stock_ultralytics_takes_the_files(tmp_path):
    weights = lively("yolov8n.yaml", tmp_path / "tiny.pt", classes=3)
    variant = OnnxRuntime().export(Variant(weights, "torch", "fp32", square(64)), tmp_path)
    pictures = [(image.transpose(1, 2, 0)[..., ::-1] * 255).astype(np.uint8) for image in IMAGES]
    alone = [YOLO(variant.path, task="detect").predict(one, imgsz=64, verbose=False)[0].boxes.data for one in pictures]
    for batch in (3, None):
        OnnxRuntime().batching.write(variant.path, tmp_path / f"{batch}.onnx", batch)
        found = YOLO(tmp_path / f"{batch}.onnx", task="detect").predict(pictures, imgsz=64, verbose=False, batch=3)
        for one, expected in zip(found, alone, strict=True):
            np.testing.assert_allclose(one.boxes.data.numpy(), expected.numpy(), rtol=1e-4, atol=1e-2)


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("streams", [1, 3])
def test_a_burst_is_as_many_calls_as_asked(runtime, streams, tmp_path, monkeypatch):
    weights = lively("yolov8n.yaml", tmp_path / "tiny.pt", classes=3)
    variant = runtime.export(Variant(weights, "torch", "fp32", square(64)), tmp_path)
    burst = runtime.batching.open_streams(variant.path, "fp32", 2, streams)
    burst(IMAGES[:1], 7)
    with pytest.raises(Exception):  # noqa: B017  runtimes raise anything
        burst(np.zeros((1, 3, 32, 32), np.float32), 2)


def test_images_per_second_are_calls_times_batch_over_the_time_of_a_burst(monkeypatch, tmp_path):
    from optimize.measure import clock

    now = [0.0]
    monkeypatch.setattr(clock, "perf_counter", lambda: now[0])

    def open_streams(path, precision, threads, streams):
        assert (precision, threads) == ("int8", 2)

        def burst(images, count):
            now[0] += 0.005 * count * images.shape[0] / streams

        return burst

    loads = [
        Load(open_streams, tmp_path / f"b{batch}.onnx", "int8", square(32), batch, streams)
        for batch, streams in ((1, 1), (4, 1), (4, 2))
    ]
    rates = measure(loads, threads=2, seed=0)
    assert [(rate.batch, rate.streams, rate.file) for rate in rates] == [
        (1, 1, "b1.onnx"),
        (4, 1, "b4.onnx"),
        (4, 2, "b4.onnx"),
    ]
    np.testing.assert_allclose([rate.per_second for rate in rates], [200, 200, 400])
    assert [rate.calls for rate in rates] == [4 * ROUNDS, 2 * ROUNDS, 4 * ROUNDS]  # one burst a visit
    assert all(rate.low <= rate.per_second <= rate.high for rate in rates)


@pytest.fixture
def one_row(tmp_path, dataset):
    """A report of the original in torch and in ONNX Runtime, with its file in the run's folder, and a judge."""
    weights = lively("yolov8n.yaml", tmp_path / "tiny.pt", classes=2)
    folder = tmp_path / "run" / "artefacts" / "onnxruntime"
    folder.mkdir(parents=True)
    variant = OnnxRuntime().export(Variant(weights, "torch", "fp32", square(64)), folder)
    report = reports.report()
    row = next(row for row in report.results if row.variant.runtime == "onnxruntime")
    rows = (report.results[0], replace(row, variant=replace(variant, tags=())))
    judge = Judge(resolve(str(dataset), "detect"), (Torch(), OnnxRuntime()), tmp_path, 1, 12, 0)
    return replace(report, results=rows), judge, tmp_path / "run"


def test_a_row_has_a_file_for_each_batch_and_a_rate_for_each_of_them_and_streams(one_row, monkeypatch):
    report, judge, folder = one_row
    asked = []

    def measured(loads, threads, seed):
        asked.extend(loads)
        return [Rate(load.batch, load.streams, 100.0 * load.batch, 90.0, 110.0, 48, load.path.name) for load in loads]

    monkeypatch.setattr(throughput, "measure", measured)
    torch, row = with_throughput(report, judge, folder, (1, 2), (1, 4)).results
    assert torch.throughput == ()
    assert [(rate.batch, rate.streams) for rate in row.throughput] == [(1, 1), (1, 4), (2, 1), (2, 4)]
    names = {path.name for path in (folder / "artefacts" / "onnxruntime").iterdir()}
    assert names == {"tiny.onnx", "original_batch2.onnx", "original_dynamic.onnx"}
    (table,) = section.section(replace(report, results=(torch, row))).tables
    assert table.rows[2] == ("original", "onnxruntime", "2", "1", "200.0", "90.0-110.0", "2.00x")
    assert section.section(report) is None
    dynamic = onnx.load(folder / "artefacts" / "onnxruntime" / "original_dynamic.onnx").graph.input[0]
    assert dynamic.type.tensor_type.shape.dim[0].dim_param == "batch"


def test_a_file_that_mixes_images_up_is_a_failure_and_leaves_none(one_row, monkeypatch):
    report, judge, folder = one_row

    ordered = OnnxRuntime().batching

    def wrong(source, target, batch):
        ordered.write(source, target, batch)
        model = onnx.load(target)
        (output,) = (node for node in model.graph.node if model.graph.output[0].name in node.output)
        output.output[0] = "ordered"
        model.graph.initializer.append(onnx.numpy_helper.from_array(np.array([1, 0]), "swapped"))
        last = onnx.helper.make_node("Gather", ["ordered", "swapped"], [model.graph.output[0].name], axis=0)
        model.graph.node.append(last)
        onnx.save(model, target)

    mixing = replace(ordered, write=wrong)
    monkeypatch.setattr(OnnxRuntime, "batching", property(lambda self: mixing))
    failed = with_throughput(report, judge, folder, (2,), (1,))
    assert all(row.throughput == () for row in failed.results)
    assert says(
        failed.failures[0].sentence, "original_batch2.onnx gives other outputs for 2 images ... leave batches out"
    )
    assert [path.name for path in (folder / "artefacts" / "onnxruntime").iterdir()] == ["tiny.onnx"]


def test_a_runtime_that_takes_one_image_only_is_refused():
    with pytest.raises(InputError) as error:
        check_batches((1, 4), [Ncnn()])
    assert says(str(error.value), "batches=[1,4] is for onnxruntime and openvino; none of runtime=[ncnn] is one")
    check_batches((), [Ncnn()])
    check_batches((4,), [Ncnn(), OpenVino()])
