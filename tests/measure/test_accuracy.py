"""How sure an accuracy is, and what a validation keeps of every image."""

import shutil
from pathlib import Path
from statistics import fmean, stdev

import numpy as np
import pytest
import torch
from PIL import Image

from helpers.tiny_tasks import TASKS, guessing, write_dataset
from optimize.dataset import LeftOut
from optimize.input_size import square
from optimize.measure.accuracy import Accuracy, leave_groups_out
from optimize.measure.detections import Box, Detections
from optimize.measure.validation import validate_once
from optimize.yolo.dataset import resolve
from optimize.yolo.validate import validate

ALL = ("detect", *TASKS)


def accuracy(*folds: float) -> Accuracy:
    return Accuracy({"mAP50-95": 0.5}, 8, {}, folds=folds)


def test_the_error_is_that_of_the_jackknife():
    assert accuracy(0.5, 0.7).error == pytest.approx((1 / 2 * (0.1**2 + 0.1**2)) ** 0.5)
    assert accuracy(0.1, 0.4, 0.4).error == pytest.approx((2 / 3 * (0.2**2 + 0.1**2 + 0.1**2)) ** 0.5)
    assert accuracy().error is accuracy(0.5).error is None
    assert accuracy(0.5, 0.7).error_of_difference(accuracy(0.4, 0.7)) == pytest.approx((1 / 2 * 2 * 0.05**2) ** 0.5)
    assert accuracy(0.5, 0.7).error_of_difference(accuracy(0.3, 0.5)) == pytest.approx(0)
    assert accuracy(0.5, 0.7).error_of_difference(accuracy(0.3, 0.5, 0.5)) is None


def test_a_class_has_an_error_of_its_own():
    one, other = (Accuracy({"mAP50-95": 0.5}, 8, {}, class_folds={"dark": folds}) for folds in ((0.5, 0.7), (0.4, 0.7)))
    assert one.error_of_class_difference(other, "dark") == pytest.approx((1 / 2 * 2 * 0.05**2) ** 0.5)
    assert one.error_of_class_difference(other, "bright") is None
    assert one.error_of_class_difference(accuracy(0.5, 0.7), "dark") is None


@pytest.mark.parametrize(("enough", "judged"), [(4, {"class0", "class1"}), (5, set())])
def test_only_classes_with_enough_objects_are_judged_alone(enough, judged, tmp_path, monkeypatch):
    monkeypatch.setattr("optimize.yolo.outputs.ENOUGH", enough)
    data = resolve(str(write_dataset(tmp_path, "detect")))
    found = validate(guessing("detect"), data, square(64))
    assert found.objects == {"class0": 4, "class1": 4}
    assert found.class_folds.keys() == judged
    assert all(len(folds) == 8 for folds in found.class_folds.values())


@pytest.mark.parametrize("count", [2, 7, 20])
def test_for_a_mean_and_an_image_per_fold_it_is_the_textbook_standard_error(count):
    values = np.random.default_rng(count).random(count).tolist()
    found = accuracy(*leave_groups_out(values, fmean))
    assert found.error == pytest.approx(stdev(values) / count**0.5, rel=1e-9)


def test_it_tells_how_far_the_means_of_other_images_lie():
    draws = np.random.default_rng(0).normal(0.5, 0.2, (400, 130))
    errors = [accuracy(*leave_groups_out(values, np.mean)).error for values in draws]
    assert np.mean(np.square(errors)) ** 0.5 == pytest.approx(draws.mean(1).std(), rel=0.1)


@pytest.mark.parametrize(("count", "folds"), [(0, 0), (1, 0), (2, 2), (19, 19), (20, 20), (45, 20)])
def test_each_image_is_left_out_once(count, folds):
    left = []
    assert len(leave_groups_out(range(count), lambda some: left.append(set(range(count)) - set(some)) or 0.5)) == folds
    assert not folds or sorted(i for group in left for i in group) == list(range(count))


def test_there_are_no_folds_where_one_has_no_score():
    assert leave_groups_out([0, 1, 2], lambda some: None if 1 not in some else 0.5) == ()


@pytest.mark.parametrize("task", ALL)
def test_a_fold_is_what_a_validation_without_its_images_finds(task, tmp_path, monkeypatch):
    given = []
    monkeypatch.setattr("optimize.yolo.outputs.ENOUGH", 1)
    monkeypatch.setattr(
        "optimize.yolo.outputs.leave_groups_out",
        lambda images, score: given.append(score(images)) or leave_groups_out(images, score),
    )
    data = resolve(str(write_dataset(tmp_path / "data", task)), task)
    seen = []
    whole = validate(guessing(task), data, square(64), seen.append)
    assert given == [(whole.score, whole.classes)]
    assert whole.score > 0 and whole.error > 0
    assert len(whole.folds) == whole.images == len(data.val)
    assert sum(whole.objects.values()) == sum(len(image.truth) for image in seen) == len(data.val)
    assert whole.objects.keys() == set(data.names)
    assert [image.image for image in seen] == list(range(len(data.val)))
    for position, left_out in list(enumerate(data.val))[:2]:
        shutil.move(left_out, tmp_path / left_out.name)
        rest = validate(guessing(task), resolve(str(data.yaml), task), square(64))
        assert rest.score == whole.folds[position]
        assert {name: folds[position] for name, folds in whole.class_folds.items()} == {
            name: score for name, score in rest.classes.items() if name in whole.class_folds
        }
        assert whole.class_folds.keys() == set(data.names)
        shutil.move(tmp_path / left_out.name, left_out)


def rectangle(left: float, top: float, right: float, bottom: float) -> list:
    return [(left, top), (right, top), (right, bottom), (left, bottom)]


def constant(task: str, imgsz: int):
    """A session that finds the label of `one_shape` with confidence 0.75, beside one of 0.24 in the corner."""
    if task == "classify":
        return lambda images: [np.array([[0.1, 0.6, 0.05, 0.1, 0.1, 0.05]], np.float32)]
    if task == "rtdetr":  # stretched, in shares
        rows = [(0.5, 0.5, 0.4, 0.5, 0.75, 1), (0.1, 0.1, 0.1, 0.1, 0.24, 0)]
        return lambda images: [np.array([rows], np.float32)]
    wide, high = (0.2, 0.1) if task == "obb" else (0.4, 0.25)  # 200 x 100 fills the width and half of the height
    found = imgsz / 2, imgsz / 2, wide * imgsz, high * imgsz, 0, 0.75
    rest = {"segment": 32 * [0], "pose": 6 * [0], "obb": [np.pi / 6]}.get(task, [])
    boxes = np.array([(*found, *rest), (6, imgsz / 2, 5, 5, 0.24, 0, *rest)], np.float32).T[None]
    prototypes = np.zeros((1, 32, imgsz // 4, imgsz // 4), np.float32)
    return lambda images: [boxes, prototypes] if task == "segment" else [boxes]


def one_shape(root: Path, task: str) -> tuple[Path, list]:
    """Images of 200 x 100 with one object of class1 in the middle; `data=` and the object's corners in pixels."""
    corners = rectangle(60, 25, 140, 75)
    if task == "obb":  # 40 x 20 pixels, turned by 30 degrees
        turn = np.array([[np.cos(np.pi / 6), -np.sin(np.pi / 6)], [np.sin(np.pi / 6), np.cos(np.pi / 6)]])
        corners = [tuple(turn @ (x, y) + (100, 50)) for x, y in rectangle(-20, -10, 20, 10)]
    shares = " ".join(f"{x / 200:.6f} {y / 100:.6f}" for x, y in corners)
    label = {"segment": shares, "obb": shares, "pose": "0.5 0.5 0.4 0.5 0.3 0.3 2 0.7 0.7 2"}
    yaml = write_dataset(root, task)
    for file in root.rglob("*.png"):
        Image.new("RGB", (200, 100), "grey").save(file)
    for file in root.rglob("*.txt"):
        file.write_text(f"1 {label.get(task, '0.5 0.5 0.4 0.5')}\n")
    return yaml, corners


@pytest.mark.parametrize("task", ALL)
def test_what_is_found_lies_in_the_pixels_of_the_original_image(task, tmp_path):
    yaml, corners = one_shape(tmp_path, task)
    data = resolve(str(yaml), task)
    for imgsz in (64, 96):  # a variant with a smaller input is compared as well
        seen = []
        validate(constant(task, imgsz), data, square(imgsz), seen.append)
        assert len(seen) == len(data.val)
        for image in seen:
            (found,), (truth,) = image.found, image.truth
            if task == "classify":
                assert found == Box("class1", 0.6, ())
                assert truth == Box(data.val[image.image].parent.name, None, ())
                continue
            assert (found.label, found.score, truth.label, truth.score) == ("class1", 0.75, "class1", None)
            for box in (found, truth):
                assert sorted(box.corners) == [pytest.approx(corner, abs=0.05) for corner in sorted(corners)]


def test_unreadable_unlabelled_and_unused_are_counted_as_they_are(dataset, tmp_path):
    shutil.copytree(dataset.parent, tmp_path / "data", ignore=shutil.ignore_patterns("*.cache"))
    yaml = tmp_path / "data" / "data.yaml"
    yaml.write_text(yaml.read_text() + "  2: never\n")
    (tmp_path / "data" / "images" / "val" / "0.png").write_bytes(b"no image")
    (tmp_path / "data" / "labels" / "val" / "1.txt").unlink()
    data = resolve(str(yaml))
    seen = []
    nothing = np.zeros((1, 7, 1), np.float32)
    torch.set_num_threads(3)
    found = validate(lambda images: [nothing], data, square(64), seen.append)
    assert torch.get_num_threads() == 3  # what is pruned next must not depend on whether this ran before it
    assert found.images == len(found.folds) == 7
    assert found.objects == {"dark": 3, "bright": 3, "never": 0}
    assert found.classes == {"dark": 0, "bright": 0}
    assert [image.image for image in seen] == list(range(7))
    assert [len(image.truth) for image in seen] == [0] + 6 * [1]
    assert not any(image.found for image in seen)
    assert data.left_out == (
        LeftOut("val", 1, 8, {"cannot identify image file": 1}, ("images/val/0.png",), {"dark": (1, 4)}),
    )


def test_there_is_no_error_where_all_labels_may_be_left_out(dataset, tmp_path):
    shutil.copytree(dataset.parent, tmp_path / "data", ignore=shutil.ignore_patterns("*.cache"))
    for i in range(7):
        (tmp_path / "data" / "labels" / "val" / f"{i}.txt").unlink()
    found = validate(
        lambda images: [np.zeros((1, 6, 1), np.float32)], resolve(str(tmp_path / "data/data.yaml")), square(64)
    )
    assert (found.images, found.objects, found.folds, found.error) == (8, {"dark": 0, "bright": 1}, (), None)


def test_a_box_that_lies_nowhere_is_no_detection(dataset):
    boxes = np.array([[np.nan, 32, 8, 8, 0.9, 0], [32, 32, 8, 8, 0.9, 0]], np.float32).T[None]
    seen = []
    validate(lambda images: [boxes], resolve(str(dataset)), square(64), seen.append)
    assert {len(image.found) for image in seen} == {1}


def test_images_in_linked_folders_are_validated_too(dataset, tmp_path):
    root = tmp_path / "data"
    shutil.copytree(dataset.parent, root, ignore=shutil.ignore_patterns("*.cache"))
    for kind in ("images", "labels"):
        shutil.move(root / kind / "val", tmp_path / kind)
        (root / kind / "val").mkdir()
        (root / kind / "val" / "linked").symlink_to(tmp_path / kind)
    data = resolve(str(root / "data.yaml"))
    assert [image.parent.name for image in data.val] == 8 * ["linked"]
    assert validate(lambda images: [np.zeros((1, 6, 1), np.float32)], data, square(64)).images == 8


FOUND = Accuracy({"mAP50-95": 0.5}, 2, {"dark": 0.5}, {"dark": 2}, (0.4, 0.6))
SEEN = [
    Detections(0, (Box("dark", None, ((0.0, 0.0), (8.5, 0.0), (8.5, 4.25), (0.0, 4.25))),), ()),
    Detections(1, (), (Box("dark", 0.875, ()),)),
]


def validated(keep) -> Accuracy:
    for image in SEEN:
        keep(image)
    return FOUND


def test_a_validation_is_kept_whole(tmp_path):
    for validation in (validate_once(tmp_path, ("a",), validated), validate_once(tmp_path, ("a",), None)):
        assert validation.accuracy == FOUND
        assert list(validation.detections()) == SEEN
    assert validate_once(tmp_path, ("b",), validated).key != validation.key


def test_a_validation_that_was_killed_leaves_nothing_that_counts(tmp_path):
    def killed(keep) -> Accuracy:
        keep(SEEN[0])
        during.extend(tmp_path.iterdir())
        raise KeyboardInterrupt

    during = []
    with pytest.raises(KeyboardInterrupt):
        validate_once(tmp_path, ("a",), killed)
    assert [file.suffix for file in during] == [".lock"]  # a run that is killed at once can't remove anything
    assert set(tmp_path.iterdir()) <= set(during)
    assert list(validate_once(tmp_path, ("a",), validated).detections()) == SEEN


@pytest.mark.parametrize("lost", ["*.json", "*.jsonl"])
def test_half_a_validation_is_made_again(lost, tmp_path):
    validate_once(tmp_path, ("a",), validated)
    next(tmp_path.glob(lost)).unlink()
    again = validate_once(tmp_path, ("a",), validated)
    assert (again.accuracy, list(again.detections())) == (FOUND, SEEN)


def test_images_of_classes_are_validated_in_their_order_whatever_the_seed(tmp_path):
    """Ultralytics shuffles them by torch's seed; then groups of images would differ from variant to variant."""
    data = resolve(str(write_dataset(tmp_path, "classify")), "classify")
    for seed in (1, 2):
        torch.manual_seed(seed)
        seen = []
        validate(constant("classify", 64), data, square(64), seen.append)
        assert [data.val[image.image].parent.name for image in seen] == [p.truth[0].label for p in seen]
        assert [image.image for image in seen] == list(range(len(data.val)))
