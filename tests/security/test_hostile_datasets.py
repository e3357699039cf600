"""A stranger's data set ends in one sentence or is read without what can't be used, in seconds and little memory."""

import os
import struct
import zlib
from itertools import pairwise
from pathlib import Path

import numpy as np
import psutil
import pytest
from PIL import Image

from helpers.hangs import ends
from helpers.messages import says
from helpers.tiny_tasks import write_dataset
from optimize.dataset import Dataset
from optimize.errors import InputError
from optimize.yolo import bounds, cache_folder
from optimize.yolo.dataset import resolve

MEMORY = 500 * 10**6  # bytes more than before


@pytest.fixture(autouse=True)
def bounded(tmp_path, monkeypatch):
    """Each test ends soon, takes little memory, and keeps its caches to itself."""
    monkeypatch.setenv(cache_folder.FOLDER, str(tmp_path / "store"))
    before = psutil.Process().memory_info().rss
    with ends():
        yield
    assert psutil.Process().memory_info().rss - before < MEMORY


def reasons(data: Dataset, split: str = "val") -> dict[str, int]:
    return next((left.reasons for left in data.left_out if left.split == split), {})


BOMB = "\n".join(
    [
        "a: &a [x,x,x,x,x,x,x,x,x,x]",
        *(f"{b}: &{b} [{','.join([f'*{a}'] * 10)}]" for a, b in zip("abcdefgh", "bcdefghi", strict=True)),
    ]
)
LINES = {  # what stands in place of lines of a good yaml: what the sentence says
    "aliases in names": (f"{BOMB}\nnames: [*i, *i]", "since its aliases repeat them"),
    "aliases elsewhere": (f"{BOMB}\nnames: [a, b]\nother: *i", "since its aliases repeat them"),
    "merged": (
        "b: &b {x: 1}\n"
        + "".join(f"b{i}: &b{i} {{<<: [{', '.join([f'*b{i - 1}' if i else '*b'] * 9)}]}}\n" for i in range(9))
        + "names: [a, b]",
        "since its aliases repeat them",
    ),
    "an alias in itself": ("names: &a [*a, b]", "inside of what it stands for"),
    "deep": (f"names: {'[' * 100}{']' * 100}", "nested more than 50 deep"),
    "very deep": (f"names: {'[' * 100_000}", "nested more than 50 deep"),
    "deep and broken": (f"names: {'[' * 900}", "nested more than 50 deep"),
    "huge": ("names: [a, b]\n#" + "x" * 2**22, "is larger than 4194304 bytes"),
    "many classes": ("nc: 1e10", "no data set has more than 100000 classes"),
    "whole number of classes": ("nc: 10000000000", "no data set has more than 100000 classes"),
    "classes in hex": (f"nc: 0x{'f' * 300}", "no data set has more than 100000 classes"),
    "infinitely many classes": ("nc: .inf", "no data set has more than 100000 classes"),
    "classes that are no number": ("nc: [2]", "must be an integer"),
    "no classes": ("nc: 0", "names"),
    "fewer than none": ("nc: -5", "names"),
    "base 60": (f"nc: {'1:' * 5000}1", "has a number of 10001 digits"),
    "a name far away": ("names: {0: a, 1000000000: b}", "requires class indices 0-1"),
    "a name before the first": ("names: {-1: a, 0: b}", "not numbered from 0 on without a gap"),
    "a number twice": ("names: {0: a, '0': b}", "not numbered from 0 on without a gap"),
    "names that are a text": ("names: ab", "must be list or dict"),
    "names without numbers": ("names: {a: 0, b: 1}", "data.yaml can't be used"),
    "numbers for a split": ("names: [a, b]\nval: 5", "'val' must be str or list, not int"),
    "nothing for a split": ("names: [a, b]\nval:", "names no images for its val split"),
    "a table for a split": ("names: [a, b]\nval: {a: b}", "'val' must be str or list, not dict"),
    "lists of lists": ("names: [a, b]\nval: [[images/val]]", "data.yaml can't be used"),
    "lists of numbers": ("names: [a, b]\ntrain: [1]", "data.yaml can't be used"),
    "a path that is no text": ("names: [a, b]\npath: [a]", "'path' must be str, not list"),
    "a long path": (f"names: [a, b]\ntrain: {'y' * 5000}", "data.yaml can't be used"),
    "a NUL in a path": ('names: [a, b]\ntrain: "a\\0b"', "data.yaml can't be used"),
    "keypoints": ("names: [a, b]\nkpt_shape:", "has kpt_shape None"),
    "keypoints that are none": ("names: [a, b]\nkpt_shape: [a, 3]", "has kpt_shape"),
    "many keypoints": ("names: [a, b]\nkpt_shape: [1000000000, 3]", "has kpt_shape"),
    "background": ("names: [a, b]\nbg_class_idx: 99", "has bg_class_idx"),
    "channels": ("names: [a, b]\nchannels: [3]", "has channels"),
    "no table": ("- a", "data.yaml can't be used"),
}


@pytest.mark.parametrize("task", ["detect", "pose"])
@pytest.mark.parametrize("kind", LINES)
def test_a_yaml_that_can_not_be_is_one_sentence(kind, task, tmp_path):
    yaml = write_dataset(tmp_path / "data", task)
    lines, said = LINES[kind]
    given = {line.split(":")[0] for line in lines.splitlines()}
    splits = [line for line in ("train: images/train", "val: images/val") if line.split(":")[0] not in given]
    points = ["kpt_shape: [2, 3]"] if task == "pose" and "kpt_shape" not in given else []
    yaml.write_text("\n".join([*([] if lines == "- a" else [*splits, *points]), lines, ""]))
    with pytest.raises(InputError) as error:
        resolve(str(yaml), task)
    assert said in str(error.value)


def test_honest_aliases_are_read(tmp_path):
    yaml = write_dataset(tmp_path / "data", "detect")
    yaml.write_text("where: &where images/train\ntrain: *where\nval: *where\nnames: [a, b]\n")
    assert resolve(str(yaml)).names == ("a", "b")


@pytest.mark.parametrize("task", ["detect", "classify"])
@pytest.mark.parametrize("data", ["https:/localhost:1/a.zip", "HTTP:/localhost:1/a", "ul:/a/b"])
def test_an_address_with_one_slash_is_an_address(data, task):
    with pytest.raises(InputError, match="is an archive or an address"):
        resolve(data, task)


def images_of(data: Path, task: str) -> Path:
    return data / "val" / "class0" if task == "classify" else data.parent / "images" / "val"


@pytest.mark.parametrize("task", ["detect", "classify"])
def test_a_folder_that_links_to_itself_is_one_sentence(task, tmp_path):
    data = write_dataset(tmp_path / "data", task)
    for i in range(2):
        (images_of(data, task) / f"loop{i}").symlink_to("..")
    with pytest.raises(InputError, match=r"loop[01]/?.* is a link to a folder that it lies in.* fix "):
        resolve(str(data), task)


@pytest.mark.parametrize("task", ["detect", "classify"])
def test_links_that_double_at_every_step_are_one_sentence(task, tmp_path):
    data = write_dataset(tmp_path / "data", task)
    steps = [tmp_path / "steps" / str(i) for i in range(40)]
    for step in steps:
        step.mkdir(parents=True)
    for step, after in pairwise(steps):
        for i in range(2):
            (step / f"{i}").symlink_to(after)
    (images_of(data, task) / "steps").symlink_to(steps[0])
    with pytest.raises(InputError, match=r"same folders more than 1000 times.* fix "):
        resolve(str(data), task)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="has no pipes")
@pytest.mark.parametrize("task", ["detect", "classify"])
def test_pipes_and_devices_as_images_are_left_out(task, tmp_path):
    data = write_dataset(tmp_path / "data", task)
    images = images_of(data, task)
    os.mkfifo(images / "a.png")
    (images / "b.png").symlink_to("/dev/zero")
    assert reasons(resolve(str(data), task)) == {"it is no file but a pipe or a device": 2}


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="has no pipes")
def test_pipes_and_devices_as_labels_lists_and_yamls(tmp_path):
    data = write_dataset(tmp_path / "data", "detect")
    labels = data.parent / "labels" / "val"
    for i, make in enumerate((os.mkfifo, lambda path: path.symlink_to("/dev/zero"))):
        (labels / f"{i}.txt").unlink()
        make(labels / f"{i}.txt")
    assert reasons(resolve(str(data))) == {"it is no file but a pipe or a device": 2}
    os.mkfifo(data.parent / "list.txt")
    text = data.read_text()
    data.write_text(text.replace("val: images/val", "val: list.txt"))
    with pytest.raises(InputError, match=r"list\.txt is no folder and no file; fix it"):
        resolve(str(data))
    os.mkfifo(tmp_path / "pipe.yaml")
    with pytest.raises(InputError, match=r"pipe\.yaml is no file and no folder"):
        resolve(str(tmp_path / "pipe.yaml"))


def png(path: Path, side: int) -> None:
    """Black, of one bit for each pixel: 48 kB for 20,000 x 20,000."""
    pack = zlib.compressobj(9)
    rows = b"".join([*(pack.compress(bytes(1 + (side + 7) // 8)) for _ in range(side)), pack.flush()])
    parts = (b"IHDR", struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)), (b"IDAT", rows), (b"IEND", b"")
    chunks = (struct.pack(">I", len(d)) + t + d + struct.pack(">I", zlib.crc32(t + d)) for t, d in parts)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunks))


@pytest.mark.parametrize("task", ["detect", "classify"])
@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_images_of_far_too_many_pixels_are_left_out(task, tmp_path):
    data = write_dataset(tmp_path / "data", task)
    images = images_of(data, task)
    png(images / "a.png", 13_000)
    page = Image.new("1", (2000, 2000))
    page.save(images / "b.tif", compression="group4", save_all=True, append_images=[page] * 200)
    assert (images / "a.png").stat().st_size < 50_000 and (images / "b.tif").stat().st_size < 500_000
    ((reason, count),) = reasons(resolve(str(data), task)).items()
    assert says(reason, "more pixels ... small a file") and count == 2


def test_what_a_header_only_claims_and_broken_images_are_left_out(tmp_path):
    data = write_dataset(tmp_path / "data", "detect")
    images = data.parent / "images" / "val"
    whole = (images / "0.png").read_bytes()
    (images / "0.png").write_bytes(whole[:16] + struct.pack(">II", 2**31 - 1, 2**31 - 1) + whole[24:])
    jpeg = images / "c.jpg"
    Image.new("RGB", (64, 64)).save(jpeg)
    size = jpeg.read_bytes().index(b"\xff\xc0") + 5
    jpeg.write_bytes(jpeg.read_bytes()[:size] + b"\xff\xff\xff\xff" + jpeg.read_bytes()[size + 4 :])
    (images / "d.png").write_bytes(whole[: len(whole) // 2])
    found = resolve(str(data))
    assert sum(reasons(found).values()) == 3 and len(found.val) == 7


def test_a_large_photograph_is_read(tmp_path, monkeypatch):
    """31 million pixels with some noise; a blank page of as many is read as well."""
    monkeypatch.setattr(bounds, "PIXELS", 2**24)
    data = write_dataset(tmp_path / "data", "detect")
    noise = np.random.default_rng(0).integers(0, 256, (500, 625), dtype=np.uint8)
    Image.fromarray(noise.repeat(10, 0).repeat(10, 1)).save(data.parent / "images" / "val" / "0.png")
    assert resolve(str(data)).left_out == ()
    monkeypatch.undo()
    Image.new("L", (6250, 5000)).save(data.parent / "images" / "val" / "0.png")
    assert resolve(str(data)).left_out == ()


LABELS = {
    "inf": "inf 0.5 0.5 0.2 0.2",
    "an infinite box": "0 inf 0.5 0.2 0.2",
    "nan": "0 nan 0.5 0.2 0.2",
    "a class that is nan": "nan 0.5 0.5 0.2 0.2",
    "1e400": "0 0.5 0.5 1e400 0.2",
    "1e308": "0 0.5 0.5 1e308 0.2",
    "a class of 1e400": "1e400 0.5 0.5 0.2 0.2",
    "a negative class": "-1 0.5 0.5 0.2 0.2",
    "a class of 1e18": "1e18 0.5 0.5 0.2 0.2",
    "a million columns": "0 " + "0.5 " * (10**6 + 1),
    "a million digits": "0." + "5" * 10**6 + " 0.5 0.5 0.2 0.2",
    "NUL": "0 0.5\0 0.5 0.2 0.2",
    "a terminal's order": "\x1b[31m 0.5 0.5 0.2 0.2",
    "no text": b"\xff\xfe\x80 0.5 0.5 0.2 0.2",
    "gigabytes on one line": None,
}


@pytest.mark.parametrize("task", ["detect", "segment", "pose", "obb"])
@pytest.mark.parametrize("kind", LABELS)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_labels_that_can_not_be_are_left_out_with_a_short_reason(kind, task, tmp_path):
    data = write_dataset(tmp_path / "data", task)
    label, row = data.parent / "labels" / "val" / "0.txt", LABELS[kind]
    if row is None:
        with label.open("wb") as file:
            file.write(b"1")
            file.truncate(4 * 2**30)  # takes no room on the disk
    else:
        label.write_bytes(row if isinstance(row, bytes) else row.encode())
    found = resolve(str(data), task)
    ((reason, count),) = reasons(found).items()
    assert count == 1 and len(found.val) == 7
    assert 5 < len(reason) < 250 and reason.isprintable()


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("column", [1, 3, 7])
@pytest.mark.parametrize("number", ["inf", "1e400", "1e39"])
def test_infinite_numbers_of_a_pose_are_left_out(number, column, tmp_path):
    """Stock ultralytics keeps those, and its validation then counts with them."""
    data = write_dataset(tmp_path / "data", "pose")
    label = data.parent / "labels" / "val" / "0.txt"
    row = label.read_text().split()
    row[column] = number
    label.write_text(" ".join(row))
    assert reasons(resolve(str(data), "pose")) == {"labels that are no finite numbers": 1}


def test_lists_of_absurd_lines(tmp_path):
    data = write_dataset(tmp_path / "data", "detect")
    data.write_text(data.read_text().replace("val: images/val", "val: list.txt"))
    lines = [
        "./images/val/0.png",
        "./x\0y.png",
        "./\x1b[31m.png",
        "/proc/self/environ.png",
        "./" + "a/" * 3000 + "b.png",
    ]
    (data.parent / "list.txt").write_text("\n".join(lines))
    found = resolve(str(data))
    assert len(found.val) == 1
    (left,) = found.left_out
    assert left.images == 4 and all(example.isprintable() for example in left.examples) and left.sentence.isprintable()
    (data.parent / "list.txt").write_text("x" * 10**6 + ".png")
    with pytest.raises(InputError, match=r"a line that is longer.* fix "):
        resolve(str(data))
    with (data.parent / "list.txt").open("wb") as file:
        file.truncate(4 * 2**30)
    with pytest.raises(InputError, match=r"larger than a list of images.* fix "):
        resolve(str(data))


@pytest.mark.parametrize(
    "names", ["names: ab", "names: [*a]", "names:", "names: {-1: a, 0: b}", "names: {x: y}", "- a", "nc: 1"]
)
def test_names_beside_the_folders_of_a_classification(names, tmp_path):
    data = write_dataset(tmp_path / "data", "classify")
    (data / ".ndjson.yaml").write_text(names)
    with pytest.raises(InputError, match="data="):
        resolve(str(data), "classify")


def test_images_elsewhere_are_told_once(tmp_path):
    elsewhere = write_dataset(tmp_path / "private", "detect").parent
    yaml = write_dataset(tmp_path / "data", "detect")
    assert resolve(str(yaml)).remarks == ()
    text = yaml.read_text()
    for val in (elsewhere / "images" / "val", "../private/images/val", "linked", "list.txt", "images/val"):
        if val == "linked":
            (yaml.parent / "linked").symlink_to(elsewhere / "images" / "val")
        elif val == "list.txt":
            (yaml.parent / "list.txt").write_text(str(elsewhere / "images" / "val" / "0.png"))
        elif val == "images/val":
            (yaml.parent / "images" / "val" / "0.png").unlink()
            (yaml.parent / "images" / "val" / "0.png").symlink_to(elsewhere / "images" / "val" / "0.png")
        yaml.write_text(text.replace("val: images/val", f"val: {val}"))
        (remark,) = resolve(str(yaml)).remarks
        assert says(remark, f"data.yaml ... outside ... {elsewhere / 'images' / 'val'}: ... report")
