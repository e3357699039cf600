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
from optimize.bound import __main__ as bound
from optimize.errors import InputError
from optimize.flops.__main__ import main as flops
from optimize.yolo.checkpoint import load, save, trusted
from optimize.yolo.usable import open_model

GIVE = "; give a .pt checkpoint of ultralytics 8."


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
    ", so a fork or another version made it (ultralytics 8.3.63; https://example.com/fork; on 2025-02-18; from "
    "yolov12n.yaml): its block model.6.m.0.0.attn (AAttn) fails with AttributeError: 'AAttn' object has no attribute "
    "'qkv'; give a checkpoint that was trained with ultralytics 8.4, or install what made it."
)


def test_a_checkpoint_of_a_fork_is_named_before_any_work_in_every_command(
    fork, checkpoint, dataset, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    for words in ([f"model={fork}"], [f"model={checkpoint}", f"rivals=[{fork}]"]):
        code, out, err = command(monkeypatch, capsys, *words, f"data={dataset}")
        assert (code, out) == (1, "")
        key = "model" if len(words) == 1 else "rivals"
        assert err.splitlines()[-1].startswith(f"error: {key}={fork} can't run under ultralytics 8.")
        assert err.splitlines()[-1].endswith(FORK)
    for call in (flops, bound.main):
        with pytest.raises(InputError) as error:
            call([f"model={fork}", *(["limits.flops=1e9"] if call is bound.main else [])])
        assert str(error.value).endswith(FORK)
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
    assert "ch.pt takes images of 1 channels; only models of 3 (RGB) can be used" in err
    for key in ("ch", "channels"):
        flops([f"model={grey(tmp_path, key)}", f"out={key}.json"])
    assert Path("ch.json").read_text() == Path("channels.json").read_text().replace("channels.pt", "ch.pt")
    with pytest.raises(InputError, match=r"None\.pt can't run under .*: its block model\.0\.conv \(Conv2d\)"):
        open_model(str(grey(tmp_path, None)))


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("a.onnx", "give the float .pt that this ONNX file was exported from."),
        ("a.engine", "give the float .pt that this TensorRT engine was exported from."),
        ("a.xml", "give the float .pt that this OpenVINO file was exported from."),
        ("a.torchscript", "give the float .pt that this TorchScript file was exported from."),
        ("a.tflite", "give the float .pt that this TFLite file was exported from."),
        ("a.mlpackage/", "give the float .pt that this Core ML package was exported from."),
        ("a_openvino_model/a.xml/", "give the float .pt that this OpenVINO file was exported from."),
        ("a_saved_model/saved_model.pb/", "give the float .pt that this TensorFlow graph was exported from."),
        ("a.yaml", "a yaml describes a network without weights, so give the .pt that was trained from it."),
        ("a.safetensors", "a .safetensors holds weights of another maker, so give a .pt that ultralytics 8 trained."),
        ("a.txt", "give a .pt checkpoint of ultralytics 8."),
        ("folder/", "it is a folder, so give the file, e.g. weights/best.pt in the folder of a training."),
        ("a.pt/", "it is a folder, so give the file, e.g. weights/best.pt in the folder of a training."),
    ],
)
def test_what_is_no_pt_is_named_with_what_to_give_instead(name, said, tmp_path):
    path = tmp_path / name
    (path if name.endswith("/") else path.parent).mkdir(parents=True, exist_ok=True)
    if not name.endswith("/"):
        path.touch()
    with pytest.raises(InputError) as error:
        load(path)
    assert str(error.value) == f"model={path} is not a .pt checkpoint; {said}"


@pytest.mark.parametrize(
    ("inside", "kind"),
    [("a.xml", "OpenVINO folder"), ("a.ncnn.param", "ncnn folder"), ("saved_model.pb", "TensorFlow")],
)
def test_a_folder_is_known_by_what_it_holds(inside, kind, tmp_path):
    (tmp_path / inside).touch()
    with pytest.raises(InputError, match=f"give the float .pt that this {kind}.* was exported from"):
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
        (["models.yolo.Model", "models.common.C3"], "is a legacy YOLOv5 checkpoint, which ultralytics 8 can't load"),
        (["models.yolo.Model", "models.common.SPPCSPC"], "is a checkpoint of YOLOv7's own repository, which"),
        (["models.yolo.IDetect"], "is a checkpoint of YOLOv7's own repository, which"),
        (["models.yolo.DetectionModel", "models.common.RepNCSPELAN4"], "is a checkpoint of YOLOv9's own repository,"),
        (["yolov6.models.yolo.Model"], "is a checkpoint of YOLOv6's own repository,"),
        (["yolox.models.YOLOX"], "is a checkpoint of YOLOX, which"),
        (["ultralytics.nn.modules.block.Forked"], "was made by a fork or another version: ultralytics "),
        (["ultralytics.nn.forked.Block"], "was made by a fork or another version: ultralytics "),
    ],
)
def test_a_pickle_of_another_maker_is_named(classes, said, trust, class_of, tmp_path, monkeypatch):
    torch.save({"model": [class_of(name)() for name in classes]}, tmp_path / "a.pt")
    monkeypatch.undo()  # the classes are gone
    with trusted(trust), pytest.raises(InputError) as error:
        load(tmp_path / "a.pt")
    assert str(error.value).startswith(f"model={tmp_path / 'a.pt'} {said}")
    assert str(error.value).endswith(GIVE)


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
    "state_dict": "holds weights only (a state_dict), no network",
    "entry": "holds weights only (a state_dict), no network",
    "nothing": "is not a YOLO checkpoint",
    "torchscript": "is a TorchScript file, which was exported from a .pt",
    "empty": "is empty",
    "lfs": "is a pointer of Git LFS, not the file itself (git lfs pull brings it)",
    "page": "is a web page, not the file that was to be downloaded",
    "cut off": "is cut off, so it was not downloaded or copied whole",
    "text": "is not a torch checkpoint",
    "zip": "is not a torch checkpoint",
}


@pytest.mark.parametrize("content", CONTENT)
def test_a_pt_that_is_something_else_is_named(content, tmp_path):
    path = tmp_path / "a.pt"
    CONTENT[content](path)
    with pytest.raises(InputError) as error:
        load(path)
    assert str(error.value) == f"model={path} {SAID[content]}{GIVE}"


def test_the_suffix_may_be_in_capitals(checkpoint, tmp_path):
    (tmp_path / "TINY.PT").write_bytes(checkpoint.read_bytes())
    assert len(load(tmp_path / "TINY.PT").model) == 23
