"""The embedded data set is the same everywhere, honest (disjoint, exact boxes), and its checkpoint fits it."""

import pickletools
import zipfile
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from itertools import permutations

import numpy as np
import pytest
import ultralytics.data.utils
from PIL import Image
from sklearn.datasets import load_digits
from ultralytics import YOLO

from optimize.data import digits
from optimize.store.apply import digest
from optimize.yolo import checkpoint
from optimize.yolo.find import DIGITS


@pytest.fixture
def small(tmp_path):
    """A data.yaml with 3 training and 2 validation scenes."""
    return digits.compose(tmp_path, train=3, val=2)


def test_two_compositions_are_byte_identical(tmp_path, small):
    again = digits.compose(tmp_path / "elsewhere", train=3, val=2)
    assert digest(again.parent) == digest(small.parent)


def test_recipe_is_the_one_of_this_version():
    labels = "".join(
        row for split in digits.FOLDS for index in range(5) for row in digits._rows(digits.scene(split, index))
    )
    assert (digits.VERSION, sha256(labels.encode()).hexdigest()[:16]) == (2, "1791fabcedc97e26"), (
        "recipe changed: raise VERSION"
    )


def test_a_scene_does_not_depend_on_how_many_there_are(tmp_path, small):
    larger = digits.compose(tmp_path, train=5, val=4)
    for file in ("images/train/00002.jpg", "labels/val/00001.txt"):
        assert (larger.parent / file).read_bytes() == (small.parent / file).read_bytes()


@pytest.mark.parametrize(("split", "other"), list(permutations(digits.FOLDS, 2)))
def test_a_split_sees_neither_digits_nor_photographs_of_the_other(monkeypatch, split, other):
    before = [digits.scene(split, index).pixels for index in range(20)]
    glyphs, classes = digits._digits()
    photos = digits._photographs()

    def spoil(which):
        _, sources, photographs, columns = digits.FOLDS[which]
        bad_glyphs, bad_photos = glyphs.copy(), [photo.copy() for photo in photos]
        bad_glyphs[sources] = 1
        for i in photographs:
            bad_photos[i][:, columns] = 255 - bad_photos[i][:, columns]
        monkeypatch.setattr(digits, "_digits", lambda: (bad_glyphs, classes))
        monkeypatch.setattr(digits, "_photographs", lambda: bad_photos)
        return [digits.scene(split, index).pixels for index in range(20)]

    assert all(np.array_equal(a, b) for a, b in zip(before, spoil(other), strict=True))
    assert not any(np.array_equal(a, b) for a, b in zip(before, spoil(split), strict=True))


def test_every_digit_is_of_one_split_and_each_class_is_halved():
    _, classes = digits._digits()
    splits = [sources for _, sources, *_ in digits.FOLDS.values()]
    assert sorted(source for sources in splits for source in sources) == list(range(1797))
    val, test = (np.bincount(classes[sources], minlength=10) for sources in splits[1:])
    assert min(*val, *test) >= 10 and abs(val - test).max() <= 4


def test_boxes_enclose_the_visible_ink_tightly():
    for index in range(20):
        scene = digits.scene("train", index)
        for digit, box in enumerate(scene.boxes):
            assert Image.fromarray(scene.owner == digit).getbbox() == tuple(box)


def test_ink_is_where_the_boxes_say(monkeypatch):
    """On a plain ground without blur or noise ink stands out, and nothing lies outside the boxes."""
    monkeypatch.setattr(
        digits, "_background", lambda rng, photographs, columns: np.full((digits.SIDE, digits.SIDE, 3), 128.0)
    )
    monkeypatch.setattr(digits, "gaussian_filter", lambda canvas, sigma: canvas)
    for index in range(20):
        scene = digits.scene("val", index)
        change = np.abs(scene.pixels - 128.0).mean(axis=2)
        outside = np.ones_like(change, dtype=bool)
        for left, top, right, bottom in scene.boxes:  # the soft edge of a stroke may reach one pixel further
            outside[max(top - 1, 0) : bottom + 1, max(left - 1, 0) : right + 1] = False
        inked = [change[scene.owner == digit].mean() for digit in range(len(scene.classes))]
        assert min(inked) > 2 * change[outside].mean()


def test_classes_are_those_of_the_digits_drawn():
    truth = load_digits().target
    for split in digits.FOLDS:
        scenes = [digits.scene(split, index) for index in range(20)]
        assert all(truth[s] == c for scene in scenes for s, c in zip(scene.sources, scene.classes, strict=True))
        assert split == "test" or {c for scene in scenes for c in scene.classes} == set(range(10))


def test_labels_hold_class_and_box_to_the_pixel(small):
    for split, index in [("train", 0), ("train", 2), ("val", 1)]:
        scene = digits.scene(split, index)
        rows = np.loadtxt(small.parent / "labels" / split / f"{index:05}.txt", ndmin=2)
        x, y, width, height = (rows[:, 1:] * digits.SIDE).T
        found = np.stack([x - width / 2, y - height / 2, x + width / 2, y + height / 2], axis=1)
        assert rows[:, 0].tolist() == list(scene.classes)
        np.testing.assert_allclose(found, scene.boxes, atol=2e-4)  # six decimals of a share of 160 pixels
        assert rows[:, 1:].min() >= 0 and rows[:, 1:].max() <= 1


def test_ultralytics_finds_it_from_any_folder(tmp_path, small, monkeypatch):
    monkeypatch.setattr(ultralytics.data.utils, "check_font", lambda font: None)  # it would ask the network
    monkeypatch.chdir(tmp_path)
    for path in (small, small.relative_to(tmp_path)):
        found = ultralytics.data.utils.check_det_dataset(path)
        assert {split: found[split] for split in digits.FOLDS} == {
            split: str(small.parent / "images" / split) for split in digits.FOLDS
        }
        assert found["names"] == dict(enumerate(digits.NAMES))


def test_composing_again_composes_nothing(tmp_path, small, monkeypatch):
    monkeypatch.setattr(digits, "scene", None)
    assert digits.compose(tmp_path, train=3, val=2) == small


def test_parallel_jobs_compose_once(tmp_path, monkeypatch):
    made = []
    monkeypatch.setattr(digits, "_write", lambda folder, counts: made.append(folder.mkdir()))
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(digits.compose, [tmp_path] * 4))
    assert len(made) == 1


def test_an_interrupted_composition_leaves_nothing_that_looks_whole(tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(digits.Image.Image, "save", lambda *args, **kwargs: (_ for _ in ()).throw(OSError("disk full")))
        with pytest.raises(OSError, match="disk full"):
            digits.compose(tmp_path, train=1, val=1)
    assert not list(tmp_path.glob("*/data.yaml"))
    assert digits.compose(tmp_path, train=1, val=1).is_file()


def test_checkpoint_knows_the_classes_of_the_data():
    model = checkpoint.load(DIGITS)
    assert model.names == dict(enumerate(digits.NAMES))
    assert model.args["imgsz"] == digits.SIDE


def test_checkpoint_is_small_and_names_no_path_of_the_machine_that_trained_it():
    assert DIGITS.stat().st_size <= 6_000_000
    with zipfile.ZipFile(DIGITS) as archive:
        (pickle,) = [name for name in archive.namelist() if name.endswith("data.pkl")]
        strings = [value for _, value, _ in pickletools.genops(archive.read(pickle)) if isinstance(value, str)]
    assert "digits" in strings
    assert not [text for text in strings if text.startswith("/") or ":\\" in text]


@pytest.mark.long
def test_checkpoint_is_good_and_leaves_room_for_damage(tmp_path):
    data = digits.compose(tmp_path)
    scores = YOLO(DIGITS).val(
        data=data, imgsz=digits.SIDE, rect=False, batch=16, plots=False, project=tmp_path, verbose=False
    )
    assert 0.75 <= scores.box.map <= 0.95
