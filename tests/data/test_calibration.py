"""Calibration sees the pixels that validation sees, and the same images each time."""

from dataclasses import asdict, replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from ultralytics.cfg import get_cfg
from ultralytics.data import build_yolo_dataset

from helpers.messages import like, says
from helpers.tiny_tasks import CLASSES, write_dataset
from optimize.data.calibration import calibration_images, sample
from optimize.dataset import Dataset
from optimize.errors import InputError
from optimize.input_size import square
from optimize.yolo.dataset import resolve
from optimize.yolo.image import validation_image
from optimize.yolo.validate import validate

SHAPES = [(64, 64), (200, 133), (101, 300), (40, 30), (10, 200)]


def image(path: Path, width: int, height: int, mode: str = "RGB") -> Path:
    channels = len(mode)
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, channels), dtype=np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels.squeeze(), mode=mode if channels > 1 else None).save(path)
    return path


@pytest.mark.parametrize(("width", "height"), SHAPES)
@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA"])
def test_an_image_has_the_pixels_of_ultralytics_validator(width, height, mode, tmp_path):
    file = image(tmp_path / "images" / "0.png", width, height, mode)
    args = get_cfg(overrides={"imgsz": 64, "rect": False, "task": "detect", "cache": False})
    data = {"names": {0: "a"}, "nc": 1, "channels": 3}
    sample = build_yolo_dataset(args, str(file.parent), 1, data, mode="val", rect=False)[0]
    assert np.array_equal(validation_image(file, square(64))[0], sample["img"].numpy().astype(np.float32) / 255)


@pytest.mark.parametrize("task", ["classify", "rtdetr"])
def test_calibration_feeds_the_pixels_that_validation_feeds(task, tmp_path):
    data = resolve(str(write_dataset(tmp_path, task)), task)
    files = data.val[: len(SHAPES)]
    for file, (width, height) in zip(files, SHAPES, strict=True):
        file.unlink()
        image(file, width, height)
    fed, nothing = [], np.zeros((1, 6) if task == "classify" else (1, 1, 6), np.float32)
    validate(lambda images: fed.append(images.copy()) or [nothing], data, square(64))
    expected = {validation_image(file, square(64), task).tobytes() for file in data.val}
    assert {pixels.tobytes() for pixels in fed[-len(data.val) :]} == expected  # classify is validated in any order
    for file, (width, height) in zip(files, SHAPES, strict=True):
        assert width == height or not np.array_equal(
            validation_image(file, square(64), task), validation_image(file, square(64))
        )


def coloured(path: Path) -> np.ndarray:
    """Write one smooth image, (64, 64, 3) uint8 RGB, in every form that an image file can have, and return it."""
    rgb = cv2.GaussianBlur(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8), (9, 9), 0)
    grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
    Image.fromarray(grey).save(path / "grey.png")
    Image.fromarray(np.dstack([grey, np.full_like(grey, 9)])).save(path / "grey_alpha.png")
    Image.fromarray(np.dstack([rgb, np.full_like(grey, 9)])).save(path / "alpha.png")
    Image.fromarray(rgb).convert("CMYK").save(path / "cmyk.jpg", quality=100)
    cv2.imwrite(str(path / "16bit.png"), rgb[..., ::-1].astype(np.uint16) * 257)
    cv2.imwrite(str(path / "grey_16bit.tiff"), grey.astype(np.uint16) * 257)
    cv2.imwrite(str(path / "float.tiff"), rgb[..., ::-1].astype(np.float32) / 255)
    return rgb


def test_every_kind_of_image_is_seen_as_rgb_or_refused(tmp_path):
    rgb = coloured(tmp_path).transpose(2, 0, 1)[None] / 255
    grey = cv2.cvtColor(coloured(tmp_path), cv2.COLOR_RGB2GRAY)[None, None].repeat(3, axis=1) / 255
    for task in ("detect", "classify", "rtdetr"):
        for name in ("alpha.png", "16bit.png", "cmyk.jpg"):
            error = np.abs(validation_image(tmp_path / name, square(64), task) - rgb)
            assert error.max() < 1e-6 if name != "cmyk.jpg" else error.mean() < 0.01  # lossy; 0.03 from grey
        for name in ("grey.png", "grey_alpha.png", "grey_16bit.tiff"):
            np.testing.assert_allclose(validation_image(tmp_path / name, square(64), task), grey, atol=1e-6)
    assert np.abs(rgb - grey).mean() > 0.03
    with pytest.raises(InputError, match=like("float.tiff ... float32 ... 8 or 16 bits")):
        validation_image(tmp_path / "float.tiff", square(64))


def labelled(root: Path, shown: list[str]) -> Dataset:
    """One image, that nobody reads, for each entry of `shown`: the classes on it."""
    files = tuple(root / "images" / f"{i}.jpg" for i in range(len(shown)))
    classes = {file: frozenset(map(int, on_it)) for file, on_it in zip(files, shown, strict=True)}
    return Dataset(root / "data.yaml", ("often", "rare", "never"), files, files, "f00d", classes=classes)


def test_rare_classes_are_seen_as_often_as_there_are_images_of_them(tmp_path):
    data = labelled(tmp_path, 20 * [""] + 100 * ["00"] + 3 * ["1"] + ["01"])
    for seed in range(5):
        found = calibration_images(data, 8, seed, square(64)).describe().images_by_class
        assert (found["rare"], found["never"]) == (4, 0) and found["often"] in (4, 5)
    found = calibration_images(data, 110, 0, square(64))
    assert len(set(found.files)) == 110
    assert asdict(found.describe()) == {
        "images": 110,
        "source": f"{tmp_path.name}/data.yaml, training split",
        "seed": 0,
        "images_by_class": {"often": 101, "rare": 4, "never": 0},
        "without_labels": 6,
    }
    often = sample(data, 8, 0, square(64)).describe()  # as they come, for BatchNorm
    assert often.images_by_class["rare"] < 4


def test_the_same_data_elsewhere_gives_the_same_images(tmp_path):
    shown = 5 * [""] + 20 * ["0"] + 5 * ["1"]
    here, there = (labelled(tmp_path / name / "set", shown) for name in ("z", "a"))
    chosen, again = (calibration_images(data, 12, 3, square(64)) for data in (here, there))
    assert [file.name for file in chosen.files] == [file.name for file in again.files]
    assert chosen.describe() == again.describe()
    assert {file.name for file in calibration_images(here, 12, 4, square(64)).files} != {
        file.name for file in chosen.files
    }


@pytest.mark.parametrize("task", CLASSES)
def test_classes_are_read_from_the_labels_of_every_task(task, tmp_path):
    data = resolve(str(write_dataset(tmp_path, task)), task)
    classes = CLASSES[task]
    assert [data.classes[file] for file in data.train] == [frozenset([int(file.stem) % classes]) for file in data.train]
    assert calibration_images(data, classes, 0, square(64)).describe().images_by_class == {
        f"class{i}": 1 for i in range(classes)
    }


def test_calibration_says_what_it_uses(tmp_path, caplog):
    with caplog.at_level("INFO"):
        calibration_images(labelled(tmp_path / "set", ["", "0", "0", "1"]), 9, 7, square(64))
    (line,) = caplog.messages
    parts = "4 images of set/data.yaml, training split, seed 7 ... 2 of 3 classes ... 0 images ... 1 have no labels"
    assert says(line, f"calibrating ... {parts}")


def test_the_sample_is_seeded_and_can_be_read_again(tmp_path):
    files = tuple(tmp_path / f"{i}.png" for i in range(9))
    for i, file in enumerate(files):
        Image.fromarray(np.full((8, 8, 3), 20 * i, np.uint8)).save(file)
    data = Dataset(tmp_path, ("a",), files, files, "f00d")
    chosen = calibration_images(data, 4, seed=0, imgsz=square(32))
    again, other = (
        calibration_images(replace(data, train=files[::-1]), 4, seed=0, imgsz=square(32)),
        calibration_images(data, 4, seed=1, imgsz=square(32)),
    )
    assert chosen.files == again.files != other.files
    assert len(chosen) == len(set(chosen.files)) == 4
    assert len(calibration_images(data, 100, seed=0, imgsz=square(32))) == 9
    first, second = list(chosen), list(chosen)
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))
    assert {(a.shape, a.dtype) for a in first} == {((1, 3, 32, 32), np.dtype(np.float32))}
