"""The test split and parts of a split are read and validated exactly as ultralytics does it."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from ultralytics import RTDETR, YOLO
from ultralytics.data import dataset

from helpers.lively import lively
from helpers.messages import like, says
from helpers.tiny_tasks import CLASSES, SIDE, TASKS, guessing, write_dataset
from optimize.checks import check_unchanged
from optimize.data.digits import compose
from optimize.data.selection import separate
from optimize.dataset import EvaluationImages, check_apart
from optimize.errors import InputError
from optimize.input_size import square
from optimize.runtime.onnxruntime import OnnxRuntime
from optimize.variant import Variant
from optimize.yolo.dataset import resolve
from optimize.yolo.find import DIGITS
from optimize.yolo.tasks import BY_NAME
from optimize.yolo.validate import validate

ALL = ("detect", *TASKS)
BOTH = [pytest.param("detect"), pytest.param("classify")]


@pytest.mark.command
@pytest.mark.parametrize("task", ALL)
def test_accuracies_of_the_test_split_are_those_of_stock_val_with_split_test(task, tmp_path):
    if task == "detect":  # what random weights find overlaps no square
        yaml, path, side = compose(tmp_path, train=1, val=30), DIGITS, 160
    else:
        yaml, side = write_dataset(tmp_path / "data", task, test=True), SIDE
        path = lively(TASKS[task], tmp_path / "tiny.pt", classes=CLASSES[task])
    data = separate(resolve(str(yaml), task, test=True))
    exported = OnnxRuntime().export(Variant(path, "torch", "fp32", square(side)), tmp_path)
    session = OnnxRuntime().open(exported, threads=1)
    for images in (data.choice_images, data.report_images):
        stock = (RTDETR if task == "rtdetr" else YOLO)(exported.path).val(
            data=str(yaml), split=images.split, imgsz=side, device="cpu", plots=False, save_dir=tmp_path / "stock"
        )
        ours = validate(session, data, square(side), images=images)
        metrics = BY_NAME[task].metrics
        assert {name: round(stock.results_dict[key], 4) for name, key in metrics.items()} == {
            name: round(score, 4) for name, score in ours.metrics.items()
        }
        assert max(ours.metrics.values()) > 0 and ours.images == len(images.files)
    assert [images.split for images in data.separated] == ["val", "test"]


@pytest.mark.parametrize("task", ALL)
def test_a_part_is_validated_as_a_split_that_has_no_other_images(task, tmp_path):
    yaml = write_dataset(tmp_path / "data", task)
    data, seen = resolve(str(yaml), task), []
    part = EvaluationImages("val", data.val[1::3], len(data.val), "part")
    found = validate(guessing(task), data, square(SIDE), seen.append, part)
    assert [image.image for image in seen] == list(range(len(part.files)))
    for file in set(data.val) - set(part.files):
        shutil.move(file, tmp_path / file.name)
    expected, alone = [], resolve(str(yaml), task)
    assert alone.val == part.files
    assert validate(guessing(task), alone, square(SIDE), expected.append) == found
    assert expected == seen and found.score > 0


@pytest.mark.parametrize("task", BOTH)
def test_no_image_is_checked_again_for_a_part(task, tmp_path, monkeypatch):
    data = resolve(str(write_dataset(tmp_path / "data", task, test=True)), task, test=True)
    for name in ("verify_image_label", "verify_image"):
        monkeypatch.setattr(dataset, name, None)
    for start in (0, 1, 0):
        part = EvaluationImages("val", data.val[start::2], len(data.val), f"part {start}")
        assert validate(guessing(task), data, square(SIDE), images=part).images == len(part.files)
        for images in separate(data).separated:
            assert validate(guessing(task), data, square(SIDE), images=images).images == len(images.files)


@pytest.mark.parametrize("task", BOTH)
def test_the_test_split_is_read_only_where_it_is_used(task, tmp_path):
    given = write_dataset(tmp_path / "data", task, test=True)
    root = given if task == "classify" else given.parent
    plain, whole = resolve(str(given), task), resolve(str(given), task, test=True)
    assert (plain.test, plain.test_fingerprint) == ((), "")
    assert (len(whole.test), whole.fingerprint) == (len(whole.val), plain.fingerprint)
    assert {image.parts[len(root.parts) + (task != "classify")] for image in whole.test} == {"test"}
    assert whole.classes.keys() >= {*whole.train, *whole.val, *whole.test}
    check_unchanged(whole)
    whole.test[0].write_bytes(whole.test[0].read_bytes() + b"changed")
    check_unchanged(plain)
    with pytest.raises(InputError, match=like(f"changed during the run ... {whole.test_fingerprint}")):
        check_unchanged(whole)
    with pytest.raises(InputError, match="is a folder with images"):
        check_apart("store=s", whole.test[0].parent / "store", whole)


@pytest.mark.parametrize("task", BOTH)
def test_what_it_leaves_out_is_told_before_the_other_splits(task, tmp_path):
    given = write_dataset(tmp_path / "data", task, test=True)
    for split in ("train", "test"):
        image = next((tmp_path / "data").glob("**/" + split)) if task != "classify" else given / split
        next(image.rglob("*.png")).write_bytes(b"no image")
    assert [lost.split for lost in resolve(str(given), task).left_out] == ["train"]
    first, second = resolve(str(given), task, test=True).left_out
    assert (first.split, first.images, second.split) == ("test", 1, "train")
    assert first.sentence.startswith(f"ultralytics leaves out 1 of {first.listed} test images: ")


@pytest.mark.parametrize("value", ["", "images/val", "[images/val]"])
def test_no_test_split_is_an_empty_one_or_that_of_the_validation(value, tmp_path):
    """ultralytics' coco8.yaml has the first, its VOC.yaml the second."""
    yaml = write_dataset(tmp_path / "data", "detect")
    yaml.write_text(f"{yaml.read_text()}test: {value}\n")
    data = resolve(str(yaml), test=True)
    assert data == resolve(str(yaml)) and separate(data) == data


def test_a_classify_folder_whose_only_other_split_is_test_validates_on_it(tmp_path):
    """As ultralytics does."""
    root = write_dataset(tmp_path / "data", "classify")
    (root / "val").rename(root / "test")
    data = resolve(str(root), "classify", test=True)
    assert data.test == () and {image.parts[len(root.parts)] for image in data.val} == {"test"}


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda root: shutil.rmtree(root / "images" / "test"), "names ... images/test for its test split ... exist"),
        (lambda root: shutil.rmtree(root / "labels" / "test"), "has no labels for its test split; put a .txt"),
        (lambda root: [file.unlink() for file in (root / "images" / "test").iterdir()], "no images in its test split"),
        (
            lambda root: [file.write_bytes(b"x") for file in (root / "images" / "test").iterdir()],
            "in its test split ... no image can be used",
        ),
    ],
)
def test_a_test_split_that_cant_be_used_is_left_out_with_the_reason(damage, message, tmp_path):
    yaml = write_dataset(tmp_path / "data", "detect", test=True)
    damage(Path(yaml.parent))
    data = resolve(str(yaml), test=True)
    assert data.test == () and separate(data) == data  # too few validation images to divide
    (remark,) = data.remarks
    assert says(remark, f"The test split is not used, so validation images are reported: ... {message}")
    assert "\n" not in remark
    assert resolve(str(yaml)).remarks == ()


def test_an_empty_test_folder_of_classes_is_left_out_with_the_reason(tmp_path):
    root = write_dataset(tmp_path / "data", "classify", test=True)
    for file in (root / "test").rglob("*.png"):
        file.unlink()
    data = resolve(str(root), "classify", test=True)
    assert data.test == () and says(data.remarks[0], "The test split is not used ... no images in its test split")


def test_a_part_of_a_split_with_images_that_are_left_out_keeps_its_order(tmp_path):
    data = resolve(str(write_dataset(tmp_path / "data", "detect", 9)))
    data.val[4].write_bytes(b"no image")
    left = resolve(str(data.yaml))
    assert len(left.val) == 8
    part = replace(left.validation_images, files=left.val[::2])
    assert not part.whole and validate(guessing("detect"), left, square(SIDE), images=part).images == 4
