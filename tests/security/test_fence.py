"""What reads and tries a checkpoint runs behind a fence: it fetches, starts and changes nothing."""

import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import torchvision
from torch import nn
from ultralytics.data.augment import classify_transforms
from ultralytics.nn import tasks
from ultralytics.nn.modules.conv import Conv

from helpers import ROOT
from helpers.checkpoints import changed, files
from helpers.commands import python_path
from optimize.errors import InputError
from optimize.host.confined import Confined, confined
from optimize.yolo import built
from optimize.yolo.checkpoint import load
from optimize.yolo.usable import open_model

pytestmark = pytest.mark.usefixtures("fetched")


ODD = "http://host/a.yaml", "https://host/a.pt", "resnet18", "http:/host/hydra.py%253Fa.pt", "clip:ViT-B/32", 8


def fetches(kind: type, fetched: list[str]) -> bool:
    """Whether one of many calls of it asks for something."""
    fetched.clear()
    student = SimpleNamespace(yaml={})
    for first in ODD:
        for rest in ((), ("DEFAULT",), (first,), (student,), (8, 8), (first, first, first)):
            with suppress(Exception), confined():
                kind(first, *rest)
    return bool(fetched)


@pytest.mark.filterwarnings("ignore")  # what torch and torchvision say of layers that are old
def test_layers_that_fetch_are_those_that_are_refused_in_a_yaml(fetched, here, monkeypatch):
    """Each class that a yaml may name is called with names and addresses; who asks is refused by `built.fetching`."""
    nameable = {
        name: kind for name, kind in vars(tasks).items() if isinstance(kind, type) and issubclass(kind, nn.Module)
    }
    nameable |= {
        f"nn.{name}": kind for name, kind in vars(nn).items() if isinstance(kind, type) and issubclass(kind, nn.Module)
    }
    nameable |= {
        f"torchvision.ops.{name}": kind
        for name, kind in vars(torchvision.ops).items()
        if isinstance(kind, type) and issubclass(kind, nn.Module)
    }
    asking = {name for name, kind in nameable.items() if fetches(kind, fetched)}
    assert "TorchVision" in asking and len(nameable) > 250
    refused = {name for name in nameable if built.fetching({"backbone": [[-1, 1, name, []]], "head": []})}
    assert asking <= refused


@pytest.mark.parametrize(
    "row", [[-1, 1, "TorchVision", [8, "resnet18"]], [-1, 1, "DetectionModel", ["https://h/a.yaml"]]]
)
def test_a_layer_that_fetches_is_refused_in_the_yaml_inside(row, here, checkpoint, fetched):
    def name(content: dict) -> None:
        content["model"].yaml["backbone"][0] = row

    path = changed(checkpoint, here / "bad.pt", name)
    with pytest.raises(InputError, match=f"names {row[2]} in its yaml, a layer that fetches weights"):
        load(path)
    assert fetched == []


def test_the_yaml_of_torchvisions_layer_is_counted_without_its_weights(fetched):
    from optimize.flops import count

    assert count("yolo11-cls-resnet18.yaml", 64).total.parameters > 11e6
    assert fetched == []


# --- the fence


def test_a_confined_thread_changes_and_starts_nothing(tmp_path):
    (tmp_path / "old").write_text("old")
    tries = [
        lambda: (tmp_path / "new").write_text("new"),
        lambda: os.open(tmp_path / "new", os.O_CREAT | os.O_WRONLY),
        lambda: (tmp_path / "new").mkdir(),
        lambda: (tmp_path / "old").unlink(),
        lambda: (tmp_path / "old").rename(tmp_path / "new"),
        lambda: os.system("true"),
        lambda: __import__("subprocess").run([sys.executable, "-c", ""]),
        lambda: __import__("socket").getaddrinfo("localhost", 1),
    ]
    for attempt in tries:
        with confined(), pytest.raises(Confined):
            attempt()
    with confined():
        assert (tmp_path / "old").read_text() == "old"
    assert files(tmp_path) == ["old"]
    (tmp_path / "new").write_text("new")  # afterwards it may


def test_what_a_library_does_as_it_is_imported_is_let_through(here, monkeypatch):
    """torchvision, which transforms of a classification model need, finds a temporary folder by writing there."""
    (here / "writes_at_import.py").write_text("from pathlib import Path\nPath('made').write_text('made')\n")
    monkeypatch.syspath_prepend(here)
    with confined():
        import writes_at_import  # noqa: F401
    assert (here / "made").read_text() == "made"


@pytest.mark.command
def test_a_classification_model_with_transforms_is_read_in_a_process_of_its_own(here):
    model = tasks.ClassificationModel("yolo11n-cls.yaml", nc=2, verbose=False)
    model.transforms = classify_transforms(64)
    torch.save({"model": model, "train_args": {"imgsz": 64}}, here / "cls.pt")
    words = [sys.executable, "-m", "optimize.flops", "model=cls.pt"]
    done = subprocess.run(
        words, cwd=here, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": python_path(ROOT)}
    )
    assert done.returncode == 0, done.stderr


def writing(self, x):
    (Path.cwd() / "written").touch()


def test_what_computes_is_tried_behind_the_fence(here, checkpoint, monkeypatch):
    """Also where a block of ultralytics itself would do more than compute."""
    monkeypatch.setattr(Conv, "forward_fuse", writing)
    with pytest.raises(InputError, match=r"model\.0 \(Conv\) fails with Confined: open of "):
        open_model(str(checkpoint))
    assert files(here) == []
