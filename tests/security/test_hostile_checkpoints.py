"""What lies in a checkpoint, or what it says of itself, is checked before anything is built, called or trained."""

import zipfile

import numpy as np
import pytest
import torch
from torch import nn
from ultralytics.nn.modules import TorchVision
from ultralytics.nn.modules.conv import Conv
from ultralytics.nn.modules.head import Detect

from helpers.checkpoints import TRUST, changed, files, replaced
from helpers.commands import command
from helpers.messages import is_error, like, says
from optimize import train
from optimize.errors import InputError
from optimize.yolo import built, usable
from optimize.yolo.checkpoint import load, trusted
from optimize.yolo.train import _carried
from optimize.yolo.usable import open_model

pytestmark = pytest.mark.usefixtures("fetched")


def hooked(content: dict) -> None:
    content["model"].model[0]._forward_hooks[0] = TorchVision


def hooked_by_a_module(content: dict) -> None:
    vars(content["model"].model[0])["_forward_hooks"] = nn.ModuleDict({"0": nn.Identity()})


def shared_forty_times(content: dict) -> None:
    inner = nn.Identity()
    for _ in range(40):
        inner = nn.Sequential(inner, inner)
    content["model"].model[0].act = inner


def in_itself(content: dict) -> None:
    outer = nn.Sequential(nn.Sequential())
    outer[0].add_module("again", outer)
    content["model"].model[0].act = outer


def in_a_tensor(content: dict) -> None:
    content["model"].model[0].conv.weight.hooked = [TorchVision]


def in_a_list(content: dict) -> None:
    content["train_args"]["x"] = ({"y": [Conv]},)


HELD = {
    "method": (replaced("fuse", TorchVision), "function or class TorchVision as fuse"),
    "module for a method": (replaced("fuse", nn.Identity()), "replaces fuse of DetectionModel"),
    "hook": (hooked, "a hook ... _forward_hooks of Conv"),
    "forward of another": (
        lambda content: vars(content["model"].model[0]).update(forward=content["model"].model[1].forward_fuse),
        "function or class Conv.forward_fuse as forward",
    ),
    "hooks that are no dict": (hooked_by_a_module, "a hook ... _forward_hooks of Conv"),
    "ways without end": (shared_forty_times, "Sequential ... more than 20000 ways to a layer"),
    "circle": (in_itself, "Sequential that contains itself"),
    "attribute of a tensor": (in_a_tensor, "function or class TorchVision as hooked"),
    "in train_args": (in_a_list, "function or class Conv as "),
}


@pytest.mark.parametrize("kind", HELD)
def test_nothing_lies_in_it_that_would_be_called_later(kind, here, checkpoint):
    change, sentence = HELD[kind]
    path = changed(checkpoint, here / "bad.pt", change)
    with pytest.raises(InputError) as error:
        load(path)
    assert says(str(error.value), f"model={path} ... {sentence} ... {TRUST}")


def test_what_fused_and_older_checkpoints_hold_is_read(here, checkpoint):
    def fuse(content: dict) -> None:
        content["model"].model[0].forward = content["model"].model[0].forward_fuse
        content["model"].model[-1].detect = Detect.forward

    model = load(changed(checkpoint, here / "good.pt", fuse))
    assert model.model[0].forward.__func__ is Conv.forward_fuse and model.model[-1].detect is Detect.forward


def test_modelopt_builds_nothing_but_int8(here, checkpoint):
    def ask(content: dict) -> None:
        content["modelopt"] = {"modelopt": {"modelopt_state_dict": [("kd_loss", {})]}, "ranges": {}}

    with pytest.raises(InputError, match=like("bad.pt ... ModelOpt for kd_loss")):
        load(changed(checkpoint, here / "bad.pt", ask))


# --- what it says of itself


SAYS = {
    "yaml=None": (replaced("yaml", None), "has the yaml None"),
    "yaml={}": (replaced("yaml", {}), "yaml without backbone and head"),
    "names=None": (replaced("names", None), "class names None ... by number"),
    "names={1: a}": (replaced("names", {1: "a"}), "class names of type dict ... by number"),
    "names={}": (replaced("names", {}), "class names of type dict ... by number"),
    "names=[None]": (replaced("names", [None]), "class names of type list ... by number"),
    "names='ab'": (replaced("names", "ab"), "class names 'ab' ... by number"),
    "task=1": (replaced("task", 1), "has the task 1"),
    "stride=0": (replaced("stride", torch.zeros(3)), "stride of type Tensor ... no number"),
    "stride=nan": (replaced("stride", torch.tensor([float("nan")])), "stride of type Tensor ... no number"),
    "model=[]": (lambda content: content["model"]._modules.update(model=None), "is not a YOLO checkpoint"),
}  # fmt: skip


@pytest.mark.parametrize("kind", SAYS)
def test_what_a_checkpoint_says_of_itself_is_checked(kind, here, checkpoint):
    change, sentence = SAYS[kind]
    with pytest.raises(InputError) as error:
        load(changed(checkpoint, here / "bad.pt", change))
    assert says(str(error.value), f"bad.pt ... {sentence}")


@pytest.mark.parametrize("size", [None, "640", "x", 10**9, -1, 0, [64, 64, 64], [64, "a"], float("nan"), {}])
def test_a_size_that_is_none_is_a_sentence(size, here, checkpoint, dataset, monkeypatch, capsys):
    path = changed(checkpoint, here / "bad.pt", lambda content: content["train_args"].update(imgsz=size))
    code, _, err = command(monkeypatch, capsys, f"model={path}", f"data={dataset}", "prune=0", "threads=1", "rounds=12")
    assert code == 1 and is_error(err.splitlines()[-1], "the checkpoint ... imgsz= ... no size ... give imgsz=")


# --- small files, large work


def expanded(content: dict) -> None:
    content["model"].model[0].conv.weight.data = torch.zeros(1).half().expand(10**6, 1000, 1000)


def test_a_view_of_terabytes_is_refused(here, checkpoint):
    with pytest.raises(InputError, match=like("bad.pt ... 2000.0 GB in 0.")):
        load(changed(checkpoint, here / "bad.pt", expanded))


def test_an_archive_that_unpacks_to_gigabytes_is_refused(here):
    with (
        zipfile.ZipFile(here / "bad.pt", "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("archive/data/0", "w") as file,
    ):
        for _ in range(300):
            file.write(bytes(2**20))
    with pytest.raises(InputError, match=like("bad.pt ... unpacks to 0.3 GB")):
        load(here / "bad.pt")


LARGE = {
    "classes": (lambda yaml: yaml.update(nc=10**10), "it holds the number 1e+10 as nc"),
    "repeats": (lambda yaml: yaml["backbone"][2].__setitem__(1, 10**9), "more than 500 layers, or 300 repeats"),
    "width": (lambda yaml: yaml.update(scales={"n": [1, 1e9, 1e9]}), "it holds the number 1e+09 as n"),
    "parameters": (lambda yaml: yaml["backbone"].append([-1, 1, "nn.Linear", [8000, 8000]]), "than 1,000 parameters"),
    "not a number": (lambda yaml: yaml.update(width_multiple=float("nan")), "holds the number nan as width_multiple"),
}  # fmt: skip


@pytest.mark.parametrize("kind", LARGE)
def test_a_yaml_inside_that_describes_a_giant_is_not_built(kind, here, checkpoint, monkeypatch):
    from optimize.yolo.widths import rebuilt

    if kind == "parameters":
        monkeypatch.setattr(built, "ELEMENTS", 1000)
    change, sentence = LARGE[kind]
    model = load(changed(checkpoint, here / "bad.pt", lambda content: change(content["model"].yaml)))
    with pytest.raises(InputError, match=r"the yaml inside the checkpoint can't be built") as error:
        rebuilt(model)
    assert sentence in str(error.value)


def many_rounds(content: dict) -> None:
    pool = content["model"].model[9]
    pool.n = 10**9


def test_a_forward_pass_without_end_is_ended(here, checkpoint, monkeypatch):
    monkeypatch.setattr(usable, "CALLS", 5000)
    with pytest.raises(InputError, match=like("model.9.m (MaxPool2d) ... more than 5000 calls")):
        open_model(str(changed(checkpoint, here / "bad.pt", many_rounds)))


@pytest.mark.parametrize(
    "beside",
    [{"version": torch.ones(3)}, {"git": "abc"}, {"git": [1]}, {"git": {"origin": torch.ones(4)}}, {"date": 3}],
)
def test_what_a_maker_says_of_itself_in_odd_types_is_left_out(beside, here, checkpoint):
    def fail(content: dict) -> None:
        content |= beside
        del content["model"].model[0].conv

    with pytest.raises(InputError, match=r"can't run under ultralytics"):
        open_model(str(changed(checkpoint, here / "bad.pt", fail)))


@pytest.mark.parametrize("number", [np.float32(0.5), np.int64(2), np.float64(0.5), np.bool_(True)])
def test_a_fitness_of_numpy_is_read(number, here, checkpoint):
    assert load(changed(checkpoint, here / "good.pt", lambda content: content.update(best_fitness=number)))


def test_an_older_format_is_named(here, checkpoint):
    content = torch.load(checkpoint, weights_only=False)
    torch.save({"numbers": content["train_args"]}, here / "old.pt", _use_new_zipfile_serialization=False)
    with pytest.raises(InputError, match=r"old\.pt is .*(torch before 1\.6|not a YOLO checkpoint)"):
        load(here / "old.pt")


# --- what a training would take out of it


def test_augmentations_out_of_a_checkpoint_need_trust(here, checkpoint):
    def name(content: dict) -> None:
        content["train_args"]["augmentations"] = [{"__class_fullname__": "os.system"}]

    model = load(changed(checkpoint, here / "aug.pt", name))
    assert "augmentations" not in _carried(model)
    with trusted(True):
        assert _carried(model)["augmentations"] == [{"__class_fullname__": "os.system"}]


ASKED = {
    "distill_model": "http://host/teacher.pt",
    "augmentations": [{"__class_fullname__": "os.system"}],
}


@pytest.mark.parametrize("key", ASKED)
def test_a_resumed_training_loads_nothing_that_only_the_checkpoint_names(key, here, checkpoint, dataset, fetched):
    def stopped(content: dict) -> None:
        content |= {"epoch": 0, "optimizer": {}}
        content["train_args"] |= {key: ASKED[key], "data": str(dataset)}

    (here / "run/weights").mkdir(parents=True)
    last = changed(checkpoint, here / "run/weights/last.pt", stopped)
    before = files(here)
    with pytest.raises(InputError, match=rf"^the checkpoint asks its training for {key}.*; add trust=true"):
        train.main([f"model={last}", "resume=true"])
    assert fetched == [] and files(here) == before
