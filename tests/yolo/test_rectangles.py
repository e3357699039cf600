"""Rectangular inputs: the pixels and the accuracies are stock ultralytics' for the same file, in every task."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from ultralytics import RTDETR, YOLO

from helpers.commands import command
from helpers.lively import lively
from helpers.messages import is_error
from helpers.tiny_tasks import CLASSES, TASKS, guessing, write_dataset
from optimize.data.calibration import sample
from optimize.data.digits import compose
from optimize.input_size import Size, square
from optimize.runtime.onnxruntime import OnnxRuntime
from optimize.variant import Variant
from optimize.yolo.dataset import resolve
from optimize.yolo.find import DIGITS
from optimize.yolo.image import validation_image
from optimize.yolo.loss import batches
from optimize.yolo.tasks import BY_NAME
from optimize.yolo.validate import validate

ALL = ("detect", *TASKS)
SIZES = (Size(64, 96), Size(96, 64), Size(32, 96))
SHAPES = ((64, 64), (100, 200), (200, 100), (31, 97), (50, 60))  # height and width of images


def shaped(root: Path, task: str) -> Path:
    """The tiny data set with its images at several shapes."""
    data = write_dataset(root, task)
    for i, file in enumerate(sorted(root.rglob("*.png"))):
        height, width = SHAPES[i % len(SHAPES)]
        Image.open(file).resize((width, height)).save(file)
    return data


@pytest.mark.parametrize("task", ["detect", "classify", "rtdetr"])  # the others fit images as detect does
@pytest.mark.parametrize("imgsz", [*SIZES, square(64)], ids=str)
def test_calibration_sees_the_pixels_of_the_validator(task, imgsz, tmp_path):
    data = resolve(str(shaped(tmp_path, task)), task)
    seen, guess = [], guessing(task)

    def session(images):
        seen.append(images)
        outputs = guess(images)
        return [outputs[0], np.ones((1, 32, imgsz.height // 4, imgsz.width // 4), np.float32)][: len(outputs)]

    validate(session, data, imgsz)
    assert {image.shape for image in seen} == {(1, 3, imgsz.height, imgsz.width)}
    assert len(seen) == len(data.val)
    for image, file in zip(seen, data.val, strict=True):
        np.testing.assert_array_equal(image, validation_image(file, imgsz, task))
    assert next(iter(sample(data, 1, 0, imgsz))).shape == (1, 3, imgsz.height, imgsz.width)


@pytest.mark.parametrize("task", ALL)
def test_the_loss_is_of_images_of_that_shape(task, tmp_path):
    (batch,) = batches(resolve(str(shaped(tmp_path, task)), task), 4, 4, 0, Size(64, 96))
    assert batch["img"].shape == (4, 3, 64, 96)


@pytest.mark.command
@pytest.mark.parametrize(("task", "imgsz"), list(zip(ALL, 3 * SIZES[:2], strict=True)), ids=str)
def test_the_accuracy_is_that_of_stock_ultralytics_for_the_same_file(task, imgsz, tmp_path):
    if task == "detect":  # a random one finds nothing here
        data, model = compose(tmp_path, train=1, val=12), DIGITS
        imgsz = Size(imgsz.height + 64, imgsz.width + 64)
    else:
        data = shaped(tmp_path / "data", task)
        model = lively(TASKS[task], tmp_path / "tiny.pt", classes=CLASSES[task])
    runtime = OnnxRuntime()
    made = runtime.export(Variant(model, "torch", "fp32", imgsz), tmp_path)
    ours = validate(runtime.open(made, 1), resolve(str(data), task), imgsz)
    stock = (RTDETR if task == "rtdetr" else YOLO)(made.path).val(
        data=str(data), device="cpu", plots=False, save_dir=tmp_path / "stock"
    )
    assert {name: stock.results_dict[key] for name, key in BY_NAME[task].metrics.items()} == ours.metrics
    assert max(ours.metrics.values()) > (0.3 if task == "detect" else 0)  # else the comparison above says nothing


@pytest.mark.command
def test_a_run_at_a_rectangle_is_measured_at_it_and_a_square_has_it_as_a_rival(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    data = write_dataset(tmp_path / "data", "detect")
    for file in (tmp_path / "data").rglob("*.png"):
        Image.open(file).resize((120, 64)).save(file)
    model = lively("yolov8n.yaml", tmp_path / "tiny.pt")
    given = f"model={model}", f"data={data}", "rounds=12", "threads=1", "epochs=1", "batch=4", "pruner=l2", "prune=0.3"
    words = *given, "runtime=[onnxruntime,openvino]", "quant.calibration_images=4", "rivals=none", "hydra.run.dir=run"
    code, _, err = command(monkeypatch, capsys, *words, "imgsz=[64,96]")
    assert code in (0, 3), err  # int8 of a random model may lose anything
    report = json.loads((tmp_path / "run" / "results.json").read_text())
    assert report["provenance"]["imgsz"] == {"height": 64, "width": 96}
    rows = {(row["name"], row["variant"]["runtime"]): row for row in report["results"]}
    assert {row["variant"]["imgsz"]["width"] for row in report["results"] if not row["rival"]} == {96}
    assert 0.25 <= 1 - rows["pruned", "torch"]["flops"] / rows["original", "torch"]["flops"] <= 0.35
    assert {"original", "pruned", "int8", "pruned+int8"} <= {name for name, _ in rows}

    small = *given, "runtime=[]", "quant=none", "imgsz=96", "prune=0", "hydra.run.dir=square"
    code, _, err = command(monkeypatch, capsys, *small)
    assert code == 0, err
    report = json.loads((tmp_path / "square" / "results.json").read_text())
    rectangle = next(row for row in report["results"] if row["name"] == "64x96px")
    assert (rectangle["rival"], rectangle["variant"]["imgsz"]) == (True, {"height": 64, "width": 96})
    assert rectangle["flops"] == rows["original", "torch"]["flops"]


@pytest.mark.command
def test_a_rectangle_that_is_no_multiple_of_the_stride_is_one_sentence(
    tmp_path, dataset, checkpoint, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    code, _, err = command(monkeypatch, capsys, f"model={checkpoint}", f"data={dataset}", "imgsz=[64,100]")
    assert code == 1
    assert is_error(err.splitlines()[-1], "imgsz=64x100 is not allowed ... stride 32, e.g. 96 or 128")
    assert list(tmp_path.iterdir()) == []
