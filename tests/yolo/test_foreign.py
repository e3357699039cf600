"""A file that is no checkpoint of ultralytics 8, or one that can't compute here, is named as what it is."""

import sys
import zipfile
from pathlib import Path

import pytest
import torch
from torch import nn
from ultralytics.nn.modules import block
from ultralytics.nn.tasks import DetectionModel

from helpers.commands import command
from helpers.messages import is_error, like, says
from optimize.bound import __main__ as bound
from optimize.errors import InputError
from optimize.flops.__main__ import main as flops
from optimize.yolo.checkpoint import load, save, trusted
from optimize.yolo.usable import open_model

GIVE = "give a .pt checkpoint"


def written(path: Path, model: nn.Module, **beside) -> Path:
    """A checkpoint as ultralytics writes it."""
    model.args = {"imgsz": 64, "task": "detect"}
    save(model, path)
    torch.save(torch.load(path, weights_only=False) | beside, path)
    return path


@pytest.fixture
def fork(tmp_path) -> Path:
    """A YOLO12 as a fork wrote it, whose attention has `qk` and `v` in place of `qkv`."""
    model = DetectionModel("yolo12n.yaml", nc=2, verbose=False)
    model.names = {0: "dark", 1: "bright"}
    for module in model.modules():
        if isinstance(module, block.AAttn):
            module.qk, module.v = module.qkv, module.qkv
            del module.qkv
    beside = {"version": "8.3.63", "date": "2025-02-18T09:12:00", "git": {"origin": "https://example.com/fork"}}
    return written(tmp_path / "fork.pt", model, **beside, train_args={"model": "yolov12n.yaml", "imgsz": 64})


FORK = (
    "fork or another version ... ultralytics 8.3.63 ... https://example.com/fork ... 2025-02-18 ... yolov12n.yaml ... "
    "model.6.m.0.0.attn (AAttn) ... no attribute 'qkv' ... trained with ultralytics 8.4, or install"
)


@pytest.mark.command
def test_a_checkpoint_of_a_fork_is_named_before_any_work_in_every_command(
    fork, checkpoint, dataset, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    for words in ([f"model={fork}"], [f"model={checkpoint}", f"rivals=[{fork}]"]):
        code, out, err = command(monkeypatch, capsys, *words, f"data={dataset}")
        assert (code, out) == (1, "")
        key = "model" if len(words) == 1 else "rivals"
        assert is_error(err.splitlines()[-1], f"{key}={fork} can't run under ultralytics 8. ... {FORK}")
    for call in (flops, bound.main):
        with pytest.raises(InputError) as error:
            call([f"model={fork}", *(["limits.flops=1e9"] if call is bound.main else [])])
        assert says(str(error.value), FORK)
    assert not list(tmp_path.glob("**/*.partial")) and not list(tmp_path.glob("**/recovered.pt"))


def grey(tmp_path: Path, key: str | None) -> Path:
    model = DetectionModel("yolov8n.yaml", ch=1, nc=2, verbose=False)
    model.names = {0: "dark", 1: "bright"}
    del model.yaml["channels"]
    if key:
        model.yaml[key] = 1
    return written(tmp_path / f"{key}.pt", model)


def test_one_channel_is_known_by_the_older_key_as_well(dataset, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    code, _, err = command(monkeypatch, capsys, f"model={grey(tmp_path, 'ch')}", f"data={dataset}")
    assert code == 1
    assert says(err, "ch.pt ... 1 channels ... 3 (RGB)")
    for key in ("ch", "channels"):
        flops([f"model={grey(tmp_path, key)}", f"out={key}.json"])
    assert Path("ch.json").read_text() == Path("channels.json").read_text().replace("channels.pt", "ch.pt")
    with pytest.raises(InputError, match=like("None.pt can't run ... model.0.conv (Conv2d)")):
        open_model(str(grey(tmp_path, None)))


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("a.onnx", "the float .pt ... ONNX file"),
        ("a.engine", "the float .pt ... TensorRT engine"),
        ("a.xml", "the float .pt ... OpenVINO file"),
        ("a.torchscript", "the float .pt ... TorchScript file"),
        ("a.tflite", "the float .pt ... TFLite file"),
        ("a.mlpackage/", "the float .pt ... Core ML package"),
        ("a_openvino_model/a.xml/", "the float .pt ... OpenVINO file"),
        ("a_saved_model/saved_model.pb/", "the float .pt ... TensorFlow graph"),
        ("a.yaml", "a yaml ... without weights ... the .pt"),
        ("a.safetensors", "a .safetensors ... another maker ... a .pt"),
        ("a.txt", "a .pt checkpoint of ultralytics 8."),
        ("folder/", "a folder ... weights/best.pt"),
        ("a.pt/", "a folder ... weights/best.pt"),
    ],
)
def test_what_is_no_pt_is_named_with_what_to_give_instead(name, said, tmp_path):
    path = tmp_path / name
    (path if name.endswith("/") else path.parent).mkdir(parents=True, exist_ok=True)
    if not name.endswith("/"):
        path.touch()
    with pytest.raises(InputError) as error:
        load(path)
    assert says(str(error.value), f"model={path} is not a .pt checkpoint ... {said}")


@pytest.mark.parametrize(
    ("inside", "kind"),
    [("a.xml", "OpenVINO folder"), ("a.ncnn.param", "ncnn folder"), ("saved_model.pb", "TensorFlow")],
)
def test_a_folder_is_known_by_what_it_holds(inside, kind, tmp_path):
    (tmp_path / inside).touch()
    with pytest.raises(InputError, match=like(f"the float .pt ... {kind}")):
        load(tmp_path)


@pytest.fixture
def class_of(monkeypatch):
    """A class that is importable only while the test writes a file."""

    def make(name: str) -> type:
        module, _, attribute = name.rpartition(".")
        parts = module.split(".")
        for i in range(1, len(parts) + 1):
            place = ".".join(parts[:i])
            if place not in sys.modules:
                monkeypatch.setitem(sys.modules, place, type(sys)(place))
        made = type(attribute, (nn.Module,), {"__module__": module})
        monkeypatch.setattr(sys.modules[module], attribute, made, raising=False)
        return made

    return make


@pytest.mark.parametrize("trust", [False, True])
@pytest.mark.parametrize(
    ("classes", "said"),
    [
        (["models.yolo.Model", "models.common.C3"], "YOLOv5"),
        (["models.yolo.Model", "models.common.SPPCSPC"], "YOLOv7"),
        (["models.yolo.IDetect"], "YOLOv7"),
        (["models.yolo.DetectionModel", "models.common.RepNCSPELAN4"], "YOLOv9"),
        (["yolov6.models.yolo.Model"], "YOLOv6"),
        (["yolox.models.YOLOX"], "YOLOX"),
        (["ultralytics.nn.modules.block.Forked"], "a fork or another version ... ultralytics "),
        (["ultralytics.nn.forked.Block"], "a fork or another version ... ultralytics "),
    ],
)
def test_a_pickle_of_another_maker_is_named(classes, said, trust, class_of, tmp_path, monkeypatch):
    torch.save({"model": [class_of(name)() for name in classes]}, tmp_path / "a.pt")
    monkeypatch.undo()  # the classes are gone
    with trusted(trust), pytest.raises(InputError) as error:
        load(tmp_path / "a.pt")
    assert says(str(error.value), f"model={tmp_path / 'a.pt'} ... {said} ... {GIVE}")


def cut_off(path: Path) -> None:
    torch.save({"model": torch.zeros(1000)}, path)
    path.write_bytes(path.read_bytes()[:2000])


CONTENT = {
    "state_dict": lambda path: torch.save(nn.Conv2d(3, 4, 1).state_dict(), path),
    "entry": lambda path: torch.save({"epoch": 1, "state_dict": nn.Conv2d(3, 4, 1).state_dict()}, path),
    "nothing": lambda path: torch.save({"epoch": 1}, path),
    "torchscript": lambda path: torch.jit.save(torch.jit.trace(nn.Conv2d(3, 4, 1), torch.zeros(1, 3, 8, 8)), path),
    "empty": lambda path: path.touch(),
    "lfs": lambda path: path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"),
    "page": lambda path: path.write_text("\n<!DOCTYPE html><html></html>"),
    "cut off": cut_off,
    "text": lambda path: path.write_text("hello"),
    "zip": lambda path: zipfile.ZipFile(path, "w").close(),
}
SAID = {
    "state_dict": "weights only ... state_dict",
    "entry": "weights only ... state_dict",
    "nothing": "is not a YOLO checkpoint",
    "torchscript": "TorchScript ... exported from a .pt",
    "empty": "is empty",
    "lfs": "Git LFS ... git lfs pull",
    "page": "web page",
    "cut off": "is cut off",
    "text": "is not a torch checkpoint",
    "zip": "is not a torch checkpoint",
}


@pytest.mark.parametrize("content", CONTENT)
def test_a_pt_that_is_something_else_is_named(content, tmp_path):
    path = tmp_path / "a.pt"
    CONTENT[content](path)
    with pytest.raises(InputError) as error:
        load(path)
    assert says(str(error.value), f"model={path} ... {SAID[content]} ... {GIVE}")


def test_the_suffix_may_be_in_capitals(checkpoint, tmp_path):
    (tmp_path / "TINY.PT").write_bytes(checkpoint.read_bytes())
    assert len(load(tmp_path / "TINY.PT").model) == 23
