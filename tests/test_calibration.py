"""Calibration sees the pixels that validation sees, and the same pictures each time."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tiny_tasks import write_dataset
from ultralytics.cfg import get_cfg
from ultralytics.data import build_yolo_dataset

from optimize.data.calibration import images
from optimize.data.dataset import Dataset
from optimize.yolo.dataset import resolve
from optimize.yolo.image import validation_image
from optimize.yolo.validate import validate

SHAPES = [(64, 64), (200, 133), (101, 300), (40, 30), (10, 200)]


def picture(path: Path, width: int, height: int, mode: str = "RGB") -> Path:
    channels = len(mode)
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, channels), dtype=np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels.squeeze(), mode=mode if channels > 1 else None).save(path)
    return path


@pytest.mark.parametrize(("width", "height"), SHAPES)
@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA"])
def test_a_picture_has_the_pixels_of_ultralytics_validator(width, height, mode, tmp_path):
    file = picture(tmp_path / "images" / "0.png", width, height, mode)
    args = get_cfg(overrides={"imgsz": 64, "rect": False, "task": "detect", "cache": False})
    data = {"names": {0: "a"}, "nc": 1, "channels": 3}
    sample = build_yolo_dataset(args, str(file.parent), 1, data, mode="val", rect=False)[0]
    assert np.array_equal(validation_image(file, 64)[0], sample["img"].numpy().astype(np.float32) / 255)


@pytest.mark.parametrize("task", ["classify", "rtdetr"])
def test_calibration_feeds_the_pixels_that_validation_feeds(task, tmp_path):
    data = resolve(str(write_dataset(tmp_path, task)), task)
    files = data.val[: len(SHAPES)]
    for file, (width, height) in zip(files, SHAPES, strict=True):
        file.unlink()
        picture(file, width, height)
    fed, nothing = [], np.zeros((1, 6) if task == "classify" else (1, 1, 6), np.float32)
    validate(lambda images: fed.append(images.copy()) or [nothing], data, 64)
    expected = {validation_image(file, 64, task).tobytes() for file in data.val}
    assert {pixels.tobytes() for pixels in fed[-len(data.val) :]} == expected  # classify is validated in any order
    for file, (width, height) in zip(files, SHAPES, strict=True):
        assert width == height or not np.array_equal(validation_image(file, 64, task), validation_image(file, 64))


def test_the_sample_is_seeded_and_can_be_read_again(tmp_path):
    files = tuple(tmp_path / f"{i}.png" for i in range(9))
    for i, file in enumerate(files):
        Image.fromarray(np.full((8, 8, 3), 20 * i, np.uint8)).save(file)
    data = Dataset(tmp_path, ("a",), files, files, "f00d")
    chosen = images(data, 4, seed=0, imgsz=32)
    again, other = images(replace(data, train=files[::-1]), 4, seed=0, imgsz=32), images(data, 4, seed=1, imgsz=32)
    assert chosen.files == again.files != other.files
    assert len(chosen) == len(set(chosen.files)) == 4
    assert len(images(data, 100, seed=0, imgsz=32)) == 9
    first, second = list(chosen), list(chosen)
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))
    assert {(a.shape, a.dtype) for a in first} == {((1, 3, 32, 32), np.dtype(np.float32))}
