"""Calibration sees the pixels that validation sees, and the same pictures each time."""

import numpy as np
import pytest
from PIL import Image
from ultralytics.cfg import get_cfg
from ultralytics.data import build_yolo_dataset

from optimize.data.calibration import images
from optimize.yolo.image import validation_image


@pytest.mark.parametrize(("width", "height"), [(64, 64), (200, 133), (101, 300), (40, 30), (10, 200)])
@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA"])
def test_a_picture_has_the_pixels_of_ultralytics_validator(width, height, mode, tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    channels = len(mode)
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, channels), dtype=np.uint8)
    Image.fromarray(pixels.squeeze(), mode=mode if channels > 1 else None).save(folder / "0.png")
    args = get_cfg(overrides={"imgsz": 64, "rect": False, "task": "detect", "cache": False})
    data = {"names": {0: "a"}, "nc": 1, "channels": 3}
    sample = build_yolo_dataset(args, str(folder), 1, data, mode="val", rect=False)[0]
    assert np.array_equal(validation_image(folder / "0.png", 64)[0], sample["img"].numpy().astype(np.float32) / 255)


def test_the_sample_is_seeded_and_can_be_read_again(tmp_path):
    files = tuple(tmp_path / f"{i}.png" for i in range(9))
    for i, file in enumerate(files):
        Image.fromarray(np.full((8, 8, 3), 20 * i, np.uint8)).save(file)
    chosen = images(files, 4, seed=0, imgsz=32)
    assert chosen.files == images(files[::-1], 4, seed=0, imgsz=32).files != images(files, 4, seed=1, imgsz=32).files
    assert len(chosen) == len(set(chosen.files)) == 4
    assert len(images(files, 100, seed=0, imgsz=32)) == 9
    first, second = list(chosen), list(chosen)
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))
    assert {(a.shape, a.dtype) for a in first} == {((1, 3, 32, 32), np.dtype(np.float32))}
