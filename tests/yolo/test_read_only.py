"""The data set is read only, whatever reads it, and an image that ultralytics would repair is seen as repaired."""

import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from ultralytics.cfg import get_cfg
from ultralytics.data import ClassificationDataset, build, build_yolo_dataset
from ultralytics.data.utils import check_cls_dataset, check_det_dataset

from helpers import ROOT
from helpers.lively import lively
from helpers.messages import like
from helpers.nasty_sets import append_to_jpeg, state, turn_into_jpeg
from helpers.tiny_tasks import CLASSES, write_dataset
from optimize.checks import check_unchanged
from optimize.data.calibration import calibration_images
from optimize.errors import InputError
from optimize.input_size import square
from optimize.store.contents import begin_store, contents
from optimize.yolo import cache_folder, image_content, label_cache, read_only
from optimize.yolo.dataset import resolve
from optimize.yolo.image import validation_image, write_small_copy
from optimize.yolo.loss import batches
from optimize.yolo.read_only import read_image, repaired
from optimize.yolo.train import finetune
from optimize.yolo.validate import validate

STOCK = "import sys; from ultralytics.data.utils import check_image; print(*map(check_image, sys.argv[1:]))"


@pytest.fixture
def caches(tmp_path, monkeypatch) -> Path:
    """An empty folder for label caches, of the test's own."""
    monkeypatch.setenv(cache_folder.FOLDER, str(tmp_path / "caches"))
    return tmp_path / "caches"


def damaged(root: Path, task: str) -> str:
    """`data=` of a set with JPEGs to repair, an image beyond repair, and files that ultralytics would touch."""
    data = write_dataset(root, task)
    for split in ("train", "val"):
        files = sorted(root.glob(f"images/{split}/*.png")) or sorted(root.glob(f"{split}/*/*.png"))
        turn_into_jpeg(files[0], orientation=6)
        turn_into_jpeg(files[1])
        files[2].write_bytes(b"no image")
        np.save(files[3].with_suffix(".npy"), np.zeros((64, 64), np.uint16))  # of another program; newer than the image
        files[4].with_suffix(".npy").write_bytes(b"no array")
        for cache in (files[0].parent.with_suffix(".cache"), root / "labels" / f"{split}.cache"):
            if cache.parent.is_dir():
                cache.write_bytes(b"another program's")
    return str(data)


def guess(task: str) -> list[np.ndarray]:
    return [np.full((1, 6), 1 / 6, np.float32)] if task == "classify" else [np.zeros((1, 6, 1), np.float32)]


@pytest.mark.command
@pytest.mark.parametrize("task", ["detect", "classify"])
def test_nothing_of_the_users_changes_in_a_run(task, tmp_path, caches):
    given = damaged(tmp_path / "data", task)
    model = lively("yolo11n-cls.yaml" if task == "classify" else "yolov8n.yaml", tmp_path / "m.pt", CLASSES[task])
    before = state(tmp_path / "data")
    data = resolve(given, task)
    assert {record.split: record.images for record in data.left_out} == {"train": 1, "val": 1}
    assert sum(len(batch["img"]) for batch in batches(data, 100, 4, 0, square(64))) == len(data.train)
    assert validate(lambda pixels: guess(task), data, square(64)).images == len(data.val)
    assert len(list(calibration_images(data, 100, 0, square(64)))) == len(data.train)
    write_small_copy(data.val[0], tmp_path / "small.jpg", task)
    settings = {"epochs": 1, "imgsz": square(64), "batch": 4, "device": "cpu", "seed": 0}
    finetune(model, data.yaml, tmp_path / "training", **settings)
    check_unchanged(data)
    assert state(tmp_path / "data") == before


@pytest.mark.parametrize("cache", ["disk", "ram"])
def test_pixels_are_never_cached_beside_the_images(cache, tmp_path, caches):
    args = get_cfg(overrides={"cache": cache, "imgsz": 64})
    detect, classify = damaged(tmp_path / "detect", "detect"), damaged(tmp_path / "classify", "classify")
    before = state(tmp_path)
    info = check_det_dataset(detect)
    found = build_yolo_dataset(args, info["train"], 4, info, mode="val")
    sample = found[0]["img"].numpy()
    for i in range(1, len(found)):
        found[i]
    other = ClassificationDataset(check_cls_dataset(classify)["train"], args)
    assert [other[i]["cls"] for i in range(len(other))]
    assert np.array_equal(sample, 255 * validation_image(Path(found.im_files[0]), square(64))[0])
    after = state(tmp_path)
    assert {path for path in before | after if before.get(path) != after.get(path)} <= {"caches"} | {
        path for path in after if path.startswith("caches/")
    }


@pytest.mark.command
def test_a_repaired_jpeg_has_the_pixels_of_ultralytics_repaired_file(tmp_path):
    jpegs, rng = [], np.random.default_rng(0)
    for mode in ("RGB", "L", "CMYK"):
        for orientation in (None, 3, 6):
            jpegs.append(tmp_path / f"{mode}{orientation}.jpg")
            image = Image.fromarray(rng.integers(0, 256, (8, 6, 3), dtype=np.uint8)).resize((48, 64)).convert(mode)
            append_to_jpeg(image, jpegs[-1], orientation)
    originals = [jpeg.read_bytes() for jpeg in jpegs]
    ours = [(read_image(jpeg), ClassificationDataset.imread(str(jpeg))) for jpeg in jpegs]
    assert [jpeg.read_bytes() for jpeg in jpegs] == originals
    subprocess.run([sys.executable, "-c", STOCK, *jpegs], check=True)
    for jpeg, original, (detected, classified) in zip(jpegs, originals, ours, strict=True):
        assert jpeg.read_bytes() != original
        stock = cv2.imread(str(jpeg))
        assert np.array_equal(detected, stock) and np.array_equal(classified, stock)
        assert repaired(jpeg) is None  # it ends as it must now


def test_an_image_that_can_not_be_decoded_or_has_gone_is_no_traceback(tmp_path, monkeypatch):
    jpeg = tmp_path / "a.jpg"
    append_to_jpeg(Image.new("RGB", (48, 64)), jpeg)
    monkeypatch.setattr(read_only, "repaired", lambda path: b"no image")
    assert read_image(jpeg) is None
    jpeg.unlink()
    with pytest.raises(InputError, match=r"a\.jpg can't be read as an image any more"):
        write_small_copy(jpeg, tmp_path / "small.jpg")


@pytest.mark.command
def test_workers_that_are_spawned_and_trainers_that_are_imported_read_as_we_do(tmp_path):
    """A data loader's worker unpickles what it calls; a worker of several GPUs imports its trainer's module."""
    (tmp_path / "worker.pickle").write_bytes(pickle.dumps(build.seed_worker))
    look = (
        "from ultralytics.data import dataset, utils; print(utils.check_image.__module__, dataset.get_hash.__module__)"
    )
    for begin in ("import pickle; pickle.load(open('worker.pickle', 'rb'))", "import optimize.yolo.train"):
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        words = [sys.executable, "-c", f"{begin}; {look}"]
        said = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
        assert said.stdout.split() == ["optimize.yolo.read_only", "optimize.yolo.label_cache"]


def test_images_are_checked_once_and_again_where_a_label_changed_and_its_date_did_not(tmp_path, caches, caplog):
    data, label = str(write_dataset(tmp_path / "data", "detect")), tmp_path / "data" / "labels" / "train" / "0.txt"
    with caplog.at_level("INFO"):
        first = resolve(data)
        assert len(caplog.messages) == 2  # a split each
        assert resolve(data) == first
        assert len(caplog.messages) == 2
        stat = label.stat()
        label.write_text(f"1{label.read_text()[1:]}")
        os.utime(label, ns=(stat.st_atime_ns, stat.st_mtime_ns))
        assert label.stat().st_size == stat.st_size
        second = resolve(data)
    assert len(caplog.messages) == 3
    assert second.fingerprint != first.fingerprint
    assert (first.classes[first.train[0]], second.classes[second.train[0]]) == (frozenset([0]), frozenset([1]))


def test_images_are_checked_again_where_another_package_may_read_more(tmp_path, caches, monkeypatch):
    data = str(write_dataset(tmp_path / "data", "detect"))
    resolve(data)
    monkeypatch.setattr(label_cache, "_readers", lambda: "pi-heif 1.0")
    resolve(data)
    assert len(list(caches.glob("*.labels"))) == 4


def test_lists_of_images_in_one_folder_keep_a_cache_each(tmp_path, caches, caplog):
    write_dataset(tmp_path / "data", "detect")
    for split, numbers in (("train", range(5)), ("val", range(5, 8))):
        (tmp_path / "data" / f"{split}.txt").write_text("".join(f"./images/train/{i}.png\n" for i in numbers))
    yaml = tmp_path / "data" / "data.yaml"
    yaml.write_text("train: train.txt\nval: val.txt\nnames: [a, b]\n")
    with caplog.at_level("INFO"):
        assert [(len(data.train), len(data.val)) for data in (resolve(str(yaml)), resolve(str(yaml)))] == [(5, 3)] * 2
    assert len(caplog.messages) == 2
    assert len(list(caches.glob("*.labels"))) == 2


def test_the_same_data_elsewhere_has_the_same_fingerprint(tmp_path, caches):
    data = write_dataset(tmp_path / "a", "pose")
    shutil.copytree(tmp_path / "a", tmp_path / "b", copy_function=shutil.copyfile)  # with today's date
    here, there = resolve(str(data), "pose"), resolve(str(tmp_path / "b" / "data.yaml"), "pose")
    assert here.fingerprint == there.fingerprint
    data.write_text(f"{data.read_text()}flip_idx: [1, 0]\n")  # decides over training
    assert resolve(str(data), "pose").fingerprint != here.fingerprint


def test_an_image_that_changed_makes_another_data_set_whatever_its_size_and_date(tmp_path, caches):
    data, image = str(write_dataset(tmp_path / "data", "detect")), tmp_path / "data" / "images" / "val" / "0.bmp"
    with Image.open(image.with_suffix(".png")) as opened:
        opened.save(image)
        opened.transpose(Image.Transpose.ROTATE_180).save(tmp_path / "turned.bmp")
    image.with_suffix(".png").unlink()
    first, before = resolve(data), image.stat()
    image.write_bytes((tmp_path / "turned.bmp").read_bytes())
    os.utime(image, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (image.stat().st_size, image.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    assert resolve(data).fingerprint != first.fingerprint


def test_images_are_read_for_the_fingerprint_once_and_again_where_what_was_kept_is_no_hash(
    tmp_path, caches, monkeypatch
):
    data, read = str(write_dataset(tmp_path / "data", "detect")), list[Path]()
    digest = image_content._digest
    monkeypatch.setattr(image_content, "_digest", lambda image: read.append(image) or digest(image))
    first = resolve(data)
    assert sorted(read) == sorted((*first.train, *first.val))
    assert resolve(data) == first and len(read) == len(first.train) + len(first.val)
    for kept in caches.glob("*.images"):
        kept.write_text("0123")
    assert resolve(data) == first and len(read) == 2 * (len(first.train) + len(first.val))


def test_an_image_that_can_no_longer_be_read_is_named(tmp_path, caches, monkeypatch):
    def denied(file, name):
        raise PermissionError(13, "Permission denied", file.name)

    data = str(write_dataset(tmp_path / "data", "detect"))
    monkeypatch.setattr(image_content, "file_digest", denied)
    with pytest.raises(InputError, match=like(".png can't be read (Permission denied) ... make it readable")):
        resolve(data)
    assert not list(caches.glob("*.images"))


def test_what_is_kept_of_a_data_set_in_the_store_is_shown_as_what_it_is(tmp_path, caches):
    begin_store(caches)
    resolve(str(write_dataset(tmp_path / "data", "detect")))
    assert sorted({thing.kind for thing in contents(caches, [])}) == ["image hash", "label cache", "lock", "manifest"]


def test_what_can_not_be_decoded_is_left_out_before_a_training_comes_to_it(tmp_path, caches):
    data = write_dataset(tmp_path / "data", "detect")
    folder = tmp_path / "data" / "images" / "train"
    for i, ending in enumerate(("bmp", "tif")):
        with Image.open(folder / f"{i}.png") as image:
            image.save(folder / f"{i}.{ending}")
        (folder / f"{i}.png").unlink()
        content = (folder / f"{i}.{ending}").read_bytes()
        (folder / f"{i}.{ending}").write_bytes(content[: len(content) // 2])
    found = resolve(str(data))
    assert found.left_out[0].reasons == {"image can't be decoded": 2}
    assert len(list(calibration_images(found, 100, 0, square(64)))) == 6


def test_a_split_without_a_label_or_a_file_is_refused_in_one_sentence(tmp_path, caches):
    data = write_dataset(tmp_path / "data", "detect")
    for label in (tmp_path / "data" / "labels" / "val").iterdir():
        label.write_text("\n")
    with pytest.raises(InputError, match=like("no labels ... val ... a .txt per image")):
        resolve(str(data))
    (tmp_path / "data" / "val.txt").write_text("images/val/0.png\n")
    data.write_text("train: images/train\nval: val.txt\nnames: [a, b]\n")
    what = f"data={data} can't be used ... val split ({tmp_path}/data/val.txt) ... images/val/0.png: ... [Errno 2]"
    with pytest.raises(InputError, match=like(f"{what} ... without ./ ... {Path.cwd()} ... give other data")):
        resolve(str(data))
    for nothing in ("", "[]"):
        data.write_text(f"train: images/train\nval: {nothing}\nnames: [a, b]\n")
        with pytest.raises(InputError, match=like("no images ... val ... check the yaml")):
            resolve(str(data))
    data.write_text("train: [images/train, images/none]\nval: images/val\nnames: [a, b]\n")
    with pytest.raises(InputError, match=like("images/none ... train ... does not exist ... check")):
        resolve(str(data))
