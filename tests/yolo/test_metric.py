"""Every accuracy of a report is of one implementation: `metric=` decides which, not what happens to be installed."""

import json
import sys
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from zlib import crc32

import numpy as np
import pytest
from ultralytics import YOLO

from helpers.coco import write_coco
from helpers.messages import says
from helpers.tiny_tasks import write_dataset
from optimize.errors import InputError
from optimize.input_size import square
from optimize.judge import Judge
from optimize.measure.accuracy import Accuracy
from optimize.runtime.onnxruntime import OnnxRuntime
from optimize.runtime.torch import Torch
from optimize.variant import Variant
from optimize.yolo import metric
from optimize.yolo.dataset import resolve
from optimize.yolo.tasks import BY_NAME
from optimize.yolo.validate import _Shim, validate

JUDGED = ("detect", "rtdetr", "segment", "pose")
needs_coco = pytest.mark.skipif(find_spec("faster_coco_eval") is None, reason="faster-coco-eval is not installed")


def guessing(task: str):
    """A session that guesses about where the objects of tiny_tasks lie, the same each time it sees the same image."""

    def session(images: np.ndarray) -> list[np.ndarray]:
        rng = np.random.default_rng(crc32(images.tobytes()))
        boxes, scores = rng.normal((32, 32, 58, 58), 2, (30, 4)), rng.random((30, 2))
        if task == "rtdetr":
            return [np.hstack([boxes / 64, scores.max(1)[:, None], scores.argmax(1)[:, None]])[None].astype(np.float32)]
        columns = [boxes, scores]
        if task == "segment":
            columns.append(np.ones((30, 32)))
        if task == "pose":
            corners = rng.normal((3, 3, 2, 61, 61, 2), 2, (30, 6))
            columns.append(np.hstack([corners] * 9)[:, :51])
        found = np.hstack(columns).T[None].astype(np.float32)
        return [found, np.ones((1, 32, 16, 16), np.float32)] if task == "segment" else [found]

    return session


def stock(task: str, yaml: Path, folder: Path) -> dict[str, float]:
    """The metrics that ultralytics' own validator reports for the same outputs, with its own choice of the metric."""
    parts = BY_NAME[task].parts()
    settings = {"task": BY_NAME[task].stock, "mode": "val", "data": str(yaml), "imgsz": 64, "batch": 1, "rect": False}
    validator = parts.validator(save_dir=folder, args=settings | {"device": "cpu", "plots": False, "verbose": False})
    found = validator(model=_Shim(guessing(task), ("class0", "class1"), square(64), end2end=False))
    return {name: found[key] for name, key in BY_NAME[task].metrics.items()}


def without_coco(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "faster_coco_eval", None)


@needs_coco
@pytest.mark.parametrize("task", JUDGED)
def test_the_folders_name_and_the_installed_packages_change_nothing(task, tmp_path, monkeypatch):
    yaml = write_coco(tmp_path, task)
    coco = resolve(str(yaml), task)
    present = validate(guessing(task), coco, square(64))
    without_coco(monkeypatch)
    absent = validate(guessing(task), coco, square(64))
    (tmp_path / "coco").rename(tmp_path / "plain")  # no longer in the shape of COCO
    yaml = tmp_path / "plain" / "data.yaml"
    yaml.write_text(yaml.read_text().replace(str(tmp_path / "coco"), str(tmp_path / "plain")))
    plain = validate(guessing(task), resolve(str(yaml), task), square(64))
    assert present == absent == plain
    assert present.implementation == f"ultralytics {version('ultralytics')}"
    assert 0 < present.score < 1 and len(present.folds) == 8


@needs_coco
@pytest.mark.parametrize("task", JUDGED)
def test_coco_is_what_stock_finds_where_it_takes_cocos_evaluation(task, tmp_path, monkeypatch):
    yaml = write_coco(tmp_path, task)
    data = resolve(str(yaml), task)
    metric.check_metric("coco", data)
    ours = validate(guessing(task), data, square(64), metric="coco")
    assert ours.metrics == stock(task, yaml, tmp_path)
    assert ours.implementation == f"faster-coco-eval {version('faster-coco-eval')}"
    assert ours.folds == () and ours.error is None
    assert list(ours.classes) == ["class0", "class1"]
    assert sum(ours.classes.values()) / 2 == pytest.approx(ours.score, rel=1e-12)
    own = validate(guessing(task), data, square(64))
    assert own.metrics != ours.metrics, "the two implementations differ, so they must never be mixed"
    if task != "segment":  # where COCO's evaluation is at stake, stock also makes the masks by another function
        without_coco(monkeypatch)
        assert stock(task, yaml, tmp_path) == own.metrics


@needs_coco
def test_an_lvis_set_is_judged_by_its_own_annotations(tmp_path):
    write_coco(tmp_path, "detect")
    root = (tmp_path / "coco").rename(tmp_path / "lvis")
    yaml, annotations = root / "data.yaml", root / "annotations" / "lvis_v1_val.json"
    yaml.write_text(yaml.read_text().replace(str(tmp_path / "coco"), str(root)))
    content = json.loads((root / "annotations" / "instances_val2017.json").read_text())
    for image in content["images"]:
        image |= {"neg_category_ids": [], "not_exhaustive_category_ids": []}
    for i, category in enumerate(content["categories"]):
        category["frequency"] = "rcf"[i]
    annotations.write_text(json.dumps(content))
    data = resolve(str(yaml))
    metric.check_metric("coco", data)
    ours = validate(guessing("detect"), data, square(64), metric="coco")
    assert ours.metrics == stock("detect", yaml, tmp_path)
    assert validate(guessing("detect"), data, square(64)).metrics != ours.metrics


@needs_coco
def test_where_nothing_is_found_nothing_is_scored(tmp_path):
    data = resolve(str(write_coco(tmp_path, "detect")))
    found = validate(lambda images: [np.zeros((1, 6, 84), np.float32)], data, square(64), metric="coco")
    assert found.metrics == {"mAP50-95": 0, "mAP50": 0} and found.classes == {"class0": 0, "class1": 0}


@needs_coco
def test_what_cocos_evaluation_cant_do_is_an_error_and_no_other_metric(tmp_path):
    data = resolve(str(write_coco(tmp_path, "detect")))
    file = tmp_path / "coco" / "annotations" / "instances_val2017.json"
    content = json.loads(file.read_text())
    file.write_text(json.dumps(content | {"images": content["images"][:-1]}))
    with pytest.raises(InputError) as error:
        validate(guessing("detect"), data, square(64), metric="coco")
    assert says(str(error.value), "metric=coco: ... instances_val2017.json has no image 7 ... leave metric= out")


def judge(data, store: Path, which: str = "ultralytics") -> Judge:
    return Judge(data, (Torch(), OnnxRuntime()), store, threads=1, rounds=12, seed=0, metric=which)


@needs_coco
def test_rows_validated_with_and_without_the_package_are_of_one_metric(tmp_path, monkeypatch):
    """The original's score came from the store, by COCO's evaluation; the next row's was ultralytics' own."""
    data = resolve(str(write_coco(tmp_path, "detect")))
    monkeypatch.setattr(Judge, "open", lambda self, variant: guessing("detect"))
    monkeypatch.setattr(Judge, "metadata", lambda self, variant: {"end2end": False})
    (tmp_path / "model.onnx").write_bytes(b"model")
    store = tmp_path / "store"
    fp32, fp16 = (Variant(tmp_path / "model.onnx", "onnxruntime", name, square(64)) for name in ("fp32", "fp16"))
    first = judge(data, store).score(fp32)
    without_coco(monkeypatch)
    assert judge(data, store).score(fp16) == first == judge(data, store).score(fp32)


def test_a_stored_score_of_another_implementation_is_not_taken(tmp_path, monkeypatch):
    calls = []

    def validated(session, data, imgsz, keep, images, which, end2end) -> Accuracy:
        calls.append(which)
        return Accuracy({"mAP50-95": 0.5}, 0, {})

    monkeypatch.setattr("optimize.judge.validate", validated)
    monkeypatch.setattr(Judge, "open", lambda self, variant: lambda images: [])
    monkeypatch.setattr(Judge, "metadata", lambda self, variant: {"end2end": False})
    data = resolve(str(write_dataset(tmp_path / "data", "detect")))
    (tmp_path / "model.onnx").write_bytes(b"model")
    variant = Variant(tmp_path / "model.onnx", "onnxruntime", "fp32", square(64))
    monkeypatch.setattr(metric, "version", lambda library: "1.0")
    for which in ("ultralytics", "coco", "coco", "ultralytics"):
        judge(data, tmp_path / "store", which).score(variant)
    assert calls == ["ultralytics", "coco"]
    monkeypatch.setattr(metric, "version", lambda library: "2.0")
    judge(data, tmp_path / "store", "coco").score(variant)
    assert calls == ["ultralytics", "coco", "coco"]


@needs_coco
def test_what_metric_coco_needs_is_said_before_any_work(tmp_path, monkeypatch):
    def refused(data) -> str:
        with pytest.raises(InputError) as error:
            metric.check_metric("coco", data)
        return str(error.value)

    plain = resolve(str(write_dataset(tmp_path / "plain", "detect")))
    assert says(refused(plain), "in the shape of COCO or LVIS ... images/val; leave metric= out")
    obb = resolve(str(write_dataset(tmp_path / "obb", "obb")), "obb")
    assert says(refused(obb), "not for obb models, but for detect, rtdetr, segment, pose; leave")
    data = resolve(str(write_coco(tmp_path, "detect")))
    (tmp_path / "coco" / "annotations" / "instances_val2017.json").unlink()
    assert says(refused(data), "metric=coco needs ... instances_val2017.json, which does not exist; put it there, or")
    monkeypatch.setattr(metric, "find_spec", lambda name: None)
    assert says(refused(data), "faster-coco-eval, which is not installed; run pip install '.[coco]', or")
    metric.check_metric("ultralytics", plain)


@needs_coco
@pytest.mark.command
def test_the_figures_equal_yolo_val_of_the_exported_file(checkpoint, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    yaml = write_coco(tmp_path, "detect")
    yaml.write_text(yaml.read_text().replace("class0", "dark").replace("class1", "bright"))
    variant = OnnxRuntime().export(Variant(checkpoint, "torch", "fp32", square(64)), tmp_path)
    found = YOLO(variant.path).val(data=str(yaml), plots=False, verbose=False)
    ours = validate(OnnxRuntime().open(variant, threads=1), resolve(str(yaml)), square(64))
    assert (found.box.map, found.box.map50) == tuple(ours.metrics.values())  # its object holds ultralytics' own metric
