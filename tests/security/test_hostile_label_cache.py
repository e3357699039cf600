"""What lies in a store in the place of a label cache is read as plain labels of the images asked for, or not at all."""

import base64
import json
import os
import pickle
from pathlib import Path

import numpy as np
import pytest

from helpers.hangs import ends
from helpers.tiny_tasks import write_dataset
from optimize.yolo import cache_folder, label_cache
from optimize.yolo.dataset import resolve
from optimize.yolo.kept_labels import Asked, labelled, text

TASKS = ("detect", "segment", "pose", "obb", "classify")


class Bomb:
    """Runs when it is unpickled."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.fixture
def store(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv(cache_folder.FOLDER, str(tmp_path / "store"))
    return tmp_path / "store"


def caches(store: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in sorted(store.glob("*.labels"))}


@pytest.mark.parametrize("task", TASKS)
def test_a_cache_is_used_and_gives_the_same_labels(task, tmp_path, store, monkeypatch):
    data = str(write_dataset(tmp_path / "data", task))
    first = resolve(data, task)
    kept = caches(store)
    assert len(kept) == 2
    monkeypatch.setattr(cache_folder, "write", lambda *_: pytest.fail("looked again"))
    assert resolve(data, task) == first
    assert caches(store) == kept


def test_every_number_and_shape_comes_back_exactly_and_can_be_written_to():
    floats = np.array([[0.1, 1 / 3, 1e-30, 0.5]], np.float32)
    label = {"im_file": "a.png", "shape": (3, 4), "cls": np.ones((1, 1), np.float32), "bboxes": floats}
    label |= {"segments": [np.random.default_rng(0).random((5, 2), np.float32)], "normalized": True}
    label |= {"keypoints": np.zeros((1, 2, 3), np.float32), "bbox_format": "xywh"}
    cache = {"labels": [label], "hash": "h", "results": (1, 0, 0, 0, 1), "msgs": ["m"], "version": "1"}
    read = labelled(Asked(["a.png"], 2, 2), text(cache).encode())
    assert read.keys() == cache.keys() and read["results"] == cache["results"]
    (back,) = read["labels"]
    assert back.keys() == label.keys() and back["shape"] == (3, 4)
    for key in ("cls", "bboxes", "keypoints"):
        assert back[key].dtype == label[key].dtype and np.array_equal(back[key], label[key])
        back[key][:] = 0
    assert np.array_equal(back["segments"][0], label["segments"][0])
    with pytest.raises(TypeError, match=r"^object is not allowed in a label cache$"):
        text({"labels": np.array([None])})


def edited(change) -> bytes:
    """A kept cache of detection, whose JSON `change` was applied to."""

    def edit(content: bytes) -> bytes:
        cache = json.loads(content)
        change(cache)
        return json.dumps(cache).encode()

    return edit


def first(**values):
    return edited(lambda cache: cache["labels"][0].update(values))


def array(values, shape) -> dict:
    return {"shape": shape, "data": base64.b64encode(np.array(values, "<f4").tobytes()).decode()}


POISON = {
    "a pickle": lambda _: pickle.dumps({"version": 1}),
    "nothing": lambda _: b"",
    "deep brackets": lambda _: b"[" * 10**5,
    "cut off": lambda content: content[: len(content) // 2],
    "too much": lambda content: content + b" " * 2**21,
    "another image": first(im_file="/etc/passwd"),
    "an image that does not exist": first(im_file="none.png"),
    "twice": edited(lambda cache: cache["labels"].append(cache["labels"][0])),
    "another order": edited(lambda cache: cache["labels"].reverse()),
    "a class that there is not": first(cls=array([7], [1, 1])),
    "a class that is no number": first(cls=array([np.nan], [1, 1])),
    "a negative class": first(cls=array([-1], [1, 1])),
    "more boxes than classes": first(bboxes=array([0] * 8, [2, 4])),
    "a shape larger than its numbers": first(bboxes=array([0] * 4, [2**40, 4])),
    "negative shape": first(bboxes=array([0] * 4, [-1, 4])),
    "no image": first(shape=[0, 0]),
    "polygons of another count": first(segments=[array([0, 0], [1, 2])] * 3),
    "keypoints": first(keypoints=array([0] * 3, [1, 1, 3])),
    "another key": first(more=1),
    "results": edited(lambda cache: cache.update(results=[10**9])),
    "messages": edited(lambda cache: cache.update(msgs=[1])),
}


@pytest.mark.parametrize("kind", POISON)
def test_a_poisoned_cache_is_made_anew(kind, tmp_path, store):
    data = str(write_dataset(tmp_path / "data", "detect"))
    before = resolve(data)
    kept = caches(store)
    for path, content in kept.items():
        path.write_bytes(POISON[kind](content))
        assert path.read_bytes() != content
    assert resolve(data) == before
    assert caches(store) == kept


@pytest.mark.parametrize("sample", [["/etc/passwd", 0], [None, 0], ["?", 10**9]])
def test_a_poisoned_cache_of_classes_is_made_anew(sample, tmp_path, store):
    data = str(write_dataset(tmp_path / "data", "classify"))
    before, kept = resolve(data, "classify"), caches(store)
    for path, content in kept.items():
        cache = json.loads(content)
        file = cache["results"][3][0][0]
        cache["results"][3][0] = [file if sample[0] == "?" else sample[0], sample[1]]
        path.write_text(json.dumps(cache))
    after = resolve(data, "classify")
    assert (after, after.train, after.classes) == (before, before.train, before.classes)
    assert caches(store) == kept


def test_pickles_of_older_versions_and_of_strangers_are_never_unpickled(tmp_path, store):
    data = str(write_dataset(tmp_path / "data", "detect"))
    resolve(data)
    kept = caches(store)
    for path in kept:
        path.write_bytes(pickle.dumps({"version": Bomb(tmp_path / "ran")}))
    resolve(data)
    assert caches(store) == kept
    assert not (tmp_path / "ran").exists()
    assert "pickle" not in vars(label_cache)


def test_links_and_folders_in_the_way_are_neither_followed_nor_fatal(tmp_path, store):
    data = str(write_dataset(tmp_path / "data", "detect"))
    resolve(data)
    kept, precious = caches(store), tmp_path / "precious"
    precious.write_text("keep")
    for path in kept:
        path.unlink()
        path.symlink_to(precious)
        path.with_suffix(".partial").symlink_to(precious)
    resolve(data)
    assert precious.read_text() == "keep"
    assert caches(store) == kept
    for path in kept:
        path.unlink()
        path.mkdir()
        path.with_suffix(".partial").mkdir()
    resolve(data)
    assert caches(store) == kept


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="has no pipes")
def test_a_pipe_in_the_place_of_a_cache_does_not_wait(tmp_path, store):
    data = str(write_dataset(tmp_path / "data", "detect"))
    resolve(data)
    kept = caches(store)
    for path in kept:
        path.unlink()
        os.mkfifo(path)
    with ends():
        resolve(data)
    assert caches(store) == kept
