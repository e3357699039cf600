"""A training that is killed and goes on ends with the weights of one that was not, bit for bit."""

import os
from collections.abc import Callable
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
import torch

from helpers.lively import lively
from optimize.input_size import square
from optimize.recover import qat
from optimize.yolo import checkpoint, resume, train

pytestmark = pytest.mark.long

EPOCHS, IMGSZ = 3, 64


class Killed(BaseException): ...


def recovery(path: Path, data: Path, folder: Path, kind: str) -> train.Training:
    folder.mkdir(exist_ok=True)
    how = {"teacher": path if kind == "distill" else None, "quantize": kind == "qat"}
    return train.finetune(path, data, folder, epochs=EPOCHS, imgsz=square(IMGSZ), batch=4, device="cpu", seed=3, **how)


def dies(monkeypatch: pytest.MonkeyPatch, moment: str) -> None:
    """Let the next training be killed at `moment`."""
    keeper = train.Recovery
    save_model, optimizer_step, keep = keeper.save_model, train.Detect.optimizer_step, resume.keep

    def saved(self):
        if (moment, self.epoch) == ("between the line and the checkpoint of the second", 1):
            raise Killed
        save_model(self)
        if (moment, self.epoch) == ("after the first epoch", 0):
            raise Killed

    def stepped(self):
        optimizer_step(self)
        if (moment, self.epoch) == ("amid the second", 1):
            raise Killed

    def kept(trainer):
        if (moment, trainer.epoch) == ("before the last state", EPOCHS - 1):
            raise Killed
        keep(trainer)

    monkeypatch.setattr(keeper, "save_model", saved)
    monkeypatch.setattr(keeper, "optimizer_step", stepped, raising=False)
    monkeypatch.setattr(resume, "keep", kept)


MOMENTS = (
    "after the first epoch",
    "amid the second",
    "between the line and the checkpoint of the second",
    "before the last state",
)
needs_modelopt = pytest.mark.skipif(qat.unavailable() is not None, reason=str(qat.unavailable()))
TRIED = (
    *(("finetune", moment) for moment in MOMENTS),
    ("distill", "amid the second"),
    pytest.param("qat", "amid the second", marks=needs_modelopt),
)


@pytest.fixture(scope="module")
def path(tmp_path_factory) -> Path:
    found = lively("yolov8n.yaml", tmp_path_factory.mktemp("resumed") / "model.pt")
    model = checkpoint.load(found)
    model.args = {"task": "detect", "imgsz": IMGSZ, "hsv_v": 0.5, "fliplr": 0.5}
    checkpoint.save(model, found)
    return found


@pytest.fixture(scope="module")
def unbroken(path, dataset, tmp_path_factory) -> Callable[[str], train.Training]:
    folder = tmp_path_factory.mktemp("unbroken")
    return cache(lambda kind: recovery(path, dataset, folder / kind, kind))


def same(one: train.Training, other: train.Training) -> None:
    weights, others = (checkpoint.load(training.path).state_dict() for training in (one, other))
    assert weights.keys() == others.keys()
    assert [name for name in weights if not torch.equal(weights[name], others[name])] == []
    assert one.path.read_bytes() == other.path.read_bytes()
    assert timeless(one) == timeless(other)


def timeless(training: train.Training) -> list[dict[str, float]]:
    return [{key: value for key, value in row.items() if key != "time"} for row in training.history]


@pytest.mark.parametrize(("kind", "moment"), TRIED)
def test_a_killed_training_ends_like_an_unbroken_one(kind, moment, path, dataset, unbroken, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        dies(patch, moment)
        with pytest.raises(Killed):
            recovery(path, dataset, tmp_path, kind)
    done = recovery(path, dataset, tmp_path, kind)
    assert done.resumed
    assert [row["epoch"] for row in done.history] == [1, 2, 3]
    same(done, unbroken(kind))


def _killed(path: Path, data: Path, folder: Path) -> None:
    torch.set_num_threads(1)
    steps = iter(range(3))
    optimizer_step = train.Detect.optimizer_step

    def stepped(self):
        optimizer_step(self)
        if next(steps) == 2:
            psutil.Process().kill()

    train.Recovery.optimizer_step = stepped
    recovery(path, data, folder, "finetune")


def test_one_killed_by_the_system_ends_like_an_unbroken_one(path, dataset, unbroken, tmp_path):
    process = get_context("spawn").Process(target=_killed, args=(path, dataset, tmp_path))
    process.start()
    process.join()
    assert process.exitcode not in (0, 1)  # by the signal, where there are signals
    assert resume.epochs_done(tmp_path / "train/weights") == 1
    same(recovery(path, dataset, tmp_path, "finetune"), unbroken("finetune"))


def test_a_state_is_there_whole_or_not_at_all(path, dataset, unbroken, tmp_path, monkeypatch):
    def half(state, target):
        save(state, target)
        if state.get("epochs") == 2:
            os.truncate(target, target.stat().st_size // 2)
            raise Killed

    save = torch.save
    with monkeypatch.context() as patch:
        patch.setattr(torch, "save", half)
        with pytest.raises(Killed):
            recovery(path, dataset, tmp_path, "finetune")
    assert resume.epochs_done(tmp_path / "train/weights") == 1
    same(recovery(path, dataset, tmp_path, "finetune"), unbroken("finetune"))


def test_an_epoch_sees_no_image_that_an_earlier_one_kept():
    """ultralytics changes colours in place where nothing copied the image before, as for RT-DETR without zoom."""
    dataset = SimpleNamespace(buffer=[0, 2], ims=["seen", None, "seen too"])
    loader = SimpleNamespace(dataset=dataset, generator=torch.Generator(), reset=lambda: None)
    args = SimpleNamespace(seed=0, deterministic=False)
    resume.begin_epoch(SimpleNamespace(args=args, epoch=1, train_loader=loader))
    assert (dataset.buffer, dataset.ims) == ([], [None, None, None])


def test_every_epoch_has_images_of_its_own(path, dataset, tmp_path, monkeypatch):
    seen = []
    preprocess = train.Detect.preprocess_batch

    def watched(self, batch):
        seen.append(batch["img"].clone())
        return preprocess(self, batch)

    monkeypatch.setattr(train.Detect, "preprocess_batch", watched)
    recovery(path, dataset, tmp_path, "finetune")
    epochs = [torch.cat(seen[i : i + 2]) for i in range(0, 2 * EPOCHS, 2)]
    assert not any(torch.equal(epochs[i], epochs[j]) for i in range(EPOCHS) for j in range(i))
