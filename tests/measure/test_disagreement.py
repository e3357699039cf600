"""Where two variants see something else, and the copies of these images."""

import random
from dataclasses import replace
from itertools import product
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.ops import box_iou

from optimize.input_size import square
from optimize.judge import Judge
from optimize.measure.detections import Box, Detections
from optimize.measure.disagreement import OVERLAP, WORST, Pair, compare, find_unmatched
from optimize.runtime.torch import Torch
from optimize.variant import Variant
from optimize.yolo.dataset import resolve
from optimize.yolo.image import write_small_copy


def box(x: float, label: str = "cat", width: float = 10) -> Box:
    return Box(label, 0.5, ((x, 0), (x + width, 0), (x + width, 10), (x, 10)))


def turned(degrees: float) -> Box:
    """50 x 10 pixels around (100, 100)."""
    return Box("ship", 0.5, tuple(map(tuple, cv2.boxPoints(((100, 100), (50, 10), degrees)).tolist())))


def named(label: str) -> Box:
    return Box(label, 0.5, ())


CASES = {  # what is found before, what is found after, objects unmatched
    "the same": ([box(0), box(50)], [box(50), box(0)], 0),
    "nothing": ([], [], 0),
    "lost": ([box(0), box(50), box(90)], [box(0), box(50)], 1),
    "new": ([], [box(0)], 1),
    "another class": ([box(0)], [box(0, "dog")], 2),
    "IoU 9 / 11": ([box(0)], [box(1)], 0),
    "IoU 6 / 14": ([box(0)], [box(4)], 2),
    "IoU 1 / 2": ([box(0)], [box(0, width=5)], 0),
    "found twice": ([box(0)], [box(0), box(1)], 1),
    "a match for each, which the nearest first would miss": ([box(0), box(3)], [box(2), box(5)], 0),
    "no area": ([box(0, width=0)], [box(0, width=0)], 2),
    "turned a little": ([turned(30)], [turned(33)], 0),
    "turned, although the boxes around them are the same": ([turned(45)], [turned(-45)], 2),
    "the other way round": ([turned(30)], [replace(turned(30), corners=turned(30).corners[::-1])], 0),
    "one class": ([named("cat")], [named("cat")], 0),
    "two classes": ([named("cat")], [named("dog")], 2),
}


@pytest.mark.parametrize("case", CASES)
def test_objects_that_only_one_finds_are_counted(case):
    before, after, unmatched = CASES[case]
    both = Detections(0, (), tuple(before)), Detections(0, (), tuple(after))
    for pair in (Pair(*both), Pair(*both[::-1])):
        assert pair.unmatched == unmatched
        assert pair.disagreement == (unmatched / (len(before) + len(after)) if unmatched else 0)


def test_what_only_one_finds_is_told_box_by_box():
    before, after = [box(0), box(50), box(90, "dog")], [box(91), box(51), box(200)]
    assert find_unmatched(before, after) == ([True, False, True], [True, False, True])
    assert find_unmatched(before, []) == ([True] * 3, [])


def test_the_overlap_is_that_of_torchvision():
    rng = np.random.default_rng(0)
    corners = rng.uniform(0, 20, (2, 100, 2))
    boxes = torch.from_numpy(np.concatenate([corners, corners + rng.uniform(30, 60, (2, 100, 2))], axis=2))
    expected = (box_iou(*boxes).diagonal() >= OVERLAP).tolist()
    seen = [
        [Detections(0, (), (Box("cat", 0.5, ((x, y), (u, y), (u, v), (x, v))),)) for x, y, u, v in side.tolist()]
        for side in boxes
    ]
    assert [Pair(*both).unmatched == 0 for both in zip(*seen, strict=True)] == expected
    assert 20 < sum(expected) < 80


def test_the_worst_come_first_whatever_the_order():
    all_of = [  # name, found before, found after: in the order expected
        ("c", [box(0), box(50)], []),
        ("a", [box(0)], []),
        ("b", [], [box(0)]),
        ("e", [box(0), box(50), box(90)], [box(0)]),
        ("d", [box(0)], [box(0)]),
        ("f", [], []),
        *((f"g{i}", [box(0)], [box(1)]) for i in range(8)),
    ]
    names = [name for name, *_ in all_of]
    order = list(range(len(all_of)))
    random.Random(0).shuffle(order)
    before = (Detections(i, (), tuple(all_of[i][1])) for i in order)
    after = (Detections(i, (), tuple(all_of[i][2])) for i in order)
    images, agreeing, worst = compare(before, after, names.__getitem__)
    assert (images, agreeing) == (14, 10)
    assert [names[pair.before.image] for pair in worst] == names[:WORST]
    assert [pair.disagreement for pair in worst] == [1, 1, 1, 0.5, 0, 0, 0, 0]


def test_variants_that_saw_other_images_are_not_compared():
    with pytest.raises(ValueError):
        compare([Detections(0, (), ())], [], str)


def gradient(width: int, height: int) -> np.ndarray:
    """(height, width, 3) RGB: red to the right, green downward, with a blue object in the upper left corner."""
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[..., 0], pixels[..., 1] = np.linspace(0, 200, width), np.linspace(0, 200, height)[:, None]
    pixels[: height // 4, : width // 4] = 0, 0, 250
    return pixels


def write(kind: str, pixels: np.ndarray, folder: Path) -> Path:
    image, path = Image.fromarray(pixels), folder / f"{kind}.png"
    if kind == "grey":
        image.convert("L").save(path)
    elif kind == "alpha":
        image.putalpha(9)
        image.save(path)
    elif kind == "palette":
        image.quantize(256).save(path)
    elif kind == "16bit":
        cv2.imwrite(str(path), pixels[..., ::-1].astype(np.uint16) * 257)
    elif kind == "float":
        cv2.imwrite(str(path := folder / "float.tiff"), pixels[..., ::-1].astype(np.float32))
    else:
        mode, orientation = ("CMYK", 1) if kind == "cmyk" else ("RGB", 6)
        exif = Image.Exif()
        exif[274] = orientation  # 6: to be turned to the right by whoever shows it
        turned = image.transpose(Image.Transpose.ROTATE_90) if orientation == 6 else image
        turned.convert(mode).save(path := folder / f"{kind}.jpg", quality=95, exif=exif)
    return path


KINDS = ["grey", "alpha", "palette", "16bit", "cmyk", "turned"]


@pytest.mark.parametrize(("kind", "task"), [*product(KINDS, ["detect", "classify"]), ("float", "detect")])
def test_a_copy_shows_every_kind_of_image_upright_and_small(kind, task, tmp_path):
    pixels = gradient(600, 960)
    size = write_small_copy(write(kind, pixels, tmp_path), tmp_path / "copy.jpg", task)
    assert size == (600, 960)
    copy = Image.open(tmp_path / "copy.jpg")
    assert (copy.format, copy.mode, copy.size) == ("JPEG", "RGB", (300, 480))
    expected = Image.fromarray(pixels).resize((300, 480))
    if kind == "grey":
        expected = expected.convert("L").convert("RGB")
    difference = np.abs(np.asarray(copy, int) - np.asarray(expected, int))
    assert difference.mean() < 6


def test_a_small_image_is_not_enlarged(tmp_path):
    Image.new("RGB", (5, 300)).save(tmp_path / "thin.png")
    assert write_small_copy(tmp_path / "thin.png", tmp_path / "copy.jpg") == (5, 300)
    assert Image.open(tmp_path / "copy.jpg").size == (5, 300)


class Finding(Torch):
    """A runtime whose artefacts are the boxes that they find, in pixels of the network's input."""

    def metadata(self, path: Path) -> dict:
        return {"end2end": False}

    def open(self, variant: Variant, threads: int):
        found = np.loadtxt(variant.path, ndmin=2)
        rows = np.array([((x + u) / 2, (y + v) / 2, u - x, v - y, 0.9, 0) for x, y, u, v in found] or [6 * [0]])
        return lambda images: [rows.T[None].astype(np.float32)]


def artefact(path: Path, *boxes: tuple, imgsz: int) -> Variant:
    np.savetxt(path, boxes)
    return Variant(path, "torch", "fp32", square(imgsz), () if path.stem == "original" else (path.stem,))


def test_images_of_the_same_name_are_told_apart_and_boxes_fit_the_copies(tmp_path):
    for place, kind in (("a", "turned"), ("b", "cmyk")):
        for split in ("train", "val"):
            folder, labels = (tmp_path / "data" / what / split / place for what in ("images", "labels"))
            folder.mkdir(parents=True)
            labels.mkdir(parents=True)
            write(kind, gradient(600, 960), folder).rename(folder / "0.jpg")
            (labels / "0.txt").write_text("0 0.125 0.125 0.25 0.25\n")  # the blue object
    yaml = tmp_path / "data" / "data.yaml"
    yaml.write_text("train: images/train\nval: images/val\nnames: [blue, other]\n")
    judge = Judge(resolve(str(yaml)), (Finding(),), tmp_path, 1, 1, 0)
    # 600 x 960 becomes 40 x 64 between 12 columns of grey on both sides, and 60 x 96 between 18 of them
    original = artefact(tmp_path / "original", (12, 0, 22, 16), (30, 30, 50, 60), imgsz=64)
    smaller = artefact(tmp_path / "96px", (18, 0, 33, 24), imgsz=96)
    found = judge.disagreement(original, smaller, tmp_path)
    assert (found.before, found.after, found.confidence) == ("original on torch", "96px on torch", 0.25)
    assert (found.images, found.agreeing) == (2, 0)
    assert [image.name for image in found.worst] == ["a/0.jpg", "b/0.jpg"]
    assert [image.disagreement for image in found.worst] == 2 * [1 / 3]
    assert len({image.path for image in found.worst}) == 2
    for image in found.worst:
        assert (image.width, image.height, len(image.before)) == (600, 960, 2)
        copy = np.asarray(Image.open(tmp_path / image.path), int)
        scale = copy.shape[0] / image.height
        for shown in (*image.truth, image.before[0], *image.after):
            (left, top), _, (right, bottom), _ = scale * np.array(shown.corners)
            assert (left, top, right, bottom) == pytest.approx((0, 0, 75, 120), abs=1)
        blue = copy[..., 2] > copy[..., :2].max(2)
        assert blue[:115, :70].mean() > 0.95 and blue[125:].mean() < 0.05 and blue[:, 80:].mean() < 0.05
