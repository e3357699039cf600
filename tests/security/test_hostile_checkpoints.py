"""A checkpoint of a stranger runs nothing, fetches nothing and writes nothing, whatever its pickle calls or holds."""

import importlib
import os
import pkgutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torchvision
from torch import nn
from torchvision.transforms import InterpolationMode
from ultralytics.data.augment import classify_transforms
from ultralytics.nn import distill_model, tasks
from ultralytics.nn.modules import TorchVision
from ultralytics.nn.modules.conv import Conv
from ultralytics.nn.modules.head import Detect
from ultralytics.nn.tasks import DetectionModel, WorldModel
from ultralytics.utils import downloads

from helpers import ROOT
from helpers.commands import command, python_path
from optimize import train
from optimize.errors import InputError
from optimize.host.confined import Confined, confined
from optimize.yolo import built, stranger, usable
from optimize.yolo.checkpoint import load, trusted
from optimize.yolo.train import _carried
from optimize.yolo.usable import open_model

TRUST = "(trust=true loads it anyway, for a file whose maker you trust); give a .pt checkpoint of ultralytics 8."


class Call:
    """Calls `function` when it is unpickled; `state` is given to what that returns."""

    def __init__(self, function, *arguments, state=None):
        self.made = function, arguments, state

    def __reduce__(self):
        return self.made


class Attribute:
    """getattr(of, name), as pickle writes bound methods."""

    def __init__(self, of, name):
        self.made = getattr, (of, name)

    def __reduce__(self):
        return self.made


@pytest.fixture(autouse=True)
def fetched(monkeypatch) -> list[str]:
    """What was to be fetched; every way to do it is replaced, since no test asks for anything."""
    asked: list[str] = []

    def ask(*arguments, **named):
        asked.append(str(arguments or named))
        raise ConnectionError("no test fetches")

    monkeypatch.setattr(downloads, "safe_download", ask)
    monkeypatch.setattr("ultralytics.utils.checks.downloads.safe_download", ask)
    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", ask)
    monkeypatch.setattr(torchvision.models._api, "load_state_dict_from_url", ask)
    monkeypatch.setattr("socket.create_connection", ask)
    monkeypatch.setattr("socket.socket.connect", ask)
    return asked


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


def changed(checkpoint: Path, path: Path, change) -> Path:
    """`checkpoint` with its content changed by `change`, at `path`."""
    content = torch.load(checkpoint, weights_only=False)
    change(content)
    torch.save(content, path)
    return path


def student() -> nn.Module:
    return DetectionModel("yolo11n.yaml", verbose=False)


CALLS = {
    "teacher": lambda: Call(distill_model.DistillationModel, "http:/host/hydra.py%253Fa.pt", student()),
    "torchvision": lambda: Call(TorchVision, "resnet18"),
    "model": lambda: Call(DetectionModel, "https://host/a.yaml"),
    "layer": lambda: Call(nn.Conv2d, 1, 1, 1),
    "loss": lambda: Call(tasks.v8DetectionLoss, None),
}  # fmt: skip


@pytest.mark.parametrize("kind", CALLS)
@pytest.mark.parametrize("legacy", [False, True])
def test_no_allowed_class_is_called(kind, legacy, here, checkpoint, fetched):
    path = here / "bad.pt"
    call = CALLS[kind]()
    torch.save({"model": call}, path, _use_new_zipfile_serialization=not legacy)
    fetched.clear()
    before = files(here)
    with pytest.raises(InputError) as error:
        load(path)
    name = f"{call.made[0].__module__}.{call.made[0].__qualname__}"
    if not legacy:  # of the older format torch allows only classes that it allowed in another file before
        assert str(error.value) == f"model={path} calls {name}, which no checkpoint of ultralytics does {TRUST}"
    assert fetched == [] and files(here) == before


def test_trusted_the_same_files_do_fetch(here, fetched):
    torch.save({"model": Call(TorchVision, "resnet18")}, here / "bad.pt")
    with trusted(True), pytest.raises(InputError):
        load(here / "bad.pt")
    assert fetched


def rebuilt_by(function, *arguments):
    """torch's own function that calls any other, as a pickle of a tensor names it."""
    return Call(torch._tensor._rebuild_from_type_v2, function, torch.Tensor, arguments, {})


def test_torchs_own_functions_call_no_class_and_no_method(here, fetched):
    world = WorldModel("yolov8s-world.yaml", nc=2, verbose=False)
    for function, arguments, refused in (
        (TorchVision, ("resnet18",), "calls TorchVision to make a tensor"),
        (Attribute(nn.Sequential, "forward"), (nn.Sequential(), None), "calls Sequential.forward to make a tensor"),
        (Attribute(WorldModel, "set_classes"), (world, ["a"]), "asks for set_classes of WorldModel"),
        (Attribute(nn.Module, "compile"), (world,), "asks for compile of Module"),
    ):
        torch.save({"model": rebuilt_by(function, *arguments), "other": world}, here / "bad.pt")
        with pytest.raises(InputError) as error:
            load(here / "bad.pt")
        assert f" {refused}, which no checkpoint" in str(error.value)
    assert fetched == []


def test_what_the_whole_process_shares_is_not_changed(here):
    """`Conv.default_act` is one object for every network that is built after this."""
    shared = Attribute(Conv, "default_act")
    torch.save({"model": Call(getattr, Conv, "default_act", state={"forward": None})}, here / "bad.pt")
    before = dict(vars(Conv.default_act))
    with pytest.raises(InputError, match="asks for default_act of Conv, which no checkpoint"):
        load(here / "bad.pt")
    assert vars(Conv.default_act) == before and shared


def state_of(tensor_state: dict, kind=nn.Parameter):
    """A parameter with attributes, as torch pickles one."""
    whole = torch._utils._rebuild_tensor_v2
    return Call(
        torch._tensor._rebuild_from_type_v2,
        whole,
        kind,
        (torch.zeros(4).storage(), 0, (4,), (1,), False, {}),
        tensor_state,
    )


HOOK = {"_post_accumulate_grad_hooks": {0: TorchVision}}
SHARED = {
    "hook in C": (lambda: state_of(HOOK), "sets _post_accumulate_grad_hooks of a tensor, which is torch's own"),
    "gradient": (lambda: state_of({"grad": None}), "sets grad of a tensor, which is torch's own"),
    "class of a tensor": (lambda: state_of({}, Conv), "makes a tensor of the class Conv"),
    "member of an enumeration": (
        lambda: Call(getattr, InterpolationMode, "BILINEAR", state={"_value_": "evil"}),
        "changes InterpolationMode.BILINEAR, which the whole process shares",
    ),
}


@pytest.mark.parametrize("kind", SHARED)
def test_nothing_of_torchs_own_is_set(kind, here):
    make, sentence = SHARED[kind]
    transforms = torchvision.transforms.Compose([torchvision.transforms.Resize(8)])
    torch.save({"model": make(), "other": [transforms, Conv(3, 3)]}, here / "bad.pt")
    with pytest.raises(InputError) as error:
        load(here / "bad.pt")
    assert sentence in str(error.value)
    assert InterpolationMode.BILINEAR.value == "bilinear"


def test_a_parameter_with_attributes_of_its_own_is_read(here, checkpoint):
    model = load(
        changed(checkpoint, here / "good.pt", lambda c: vars(c["model"].model[0].conv.weight).update(mine=[1]))
    )
    assert model.model[0].conv.weight.mine == [1] and isinstance(model.model[0].conv.weight, nn.Parameter)


MEMORY = {
    "bytes": lambda: bytearray(10**7),
    "typed": lambda: Call(torch.FloatTensor, 10**7),
    "tensor": lambda: Call(torch.Tensor, 10, 10),
    "storage": lambda: Call(torch.UntypedStorage, 10**7),
}


@pytest.mark.parametrize("make", MEMORY.values(), ids=MEMORY)
def test_torch_makes_no_memory_that_the_file_does_not_hold(make, here):
    torch.save({"model": make()}, here / "bad.pt")
    with pytest.raises(InputError):
        load(here / "bad.pt")


def replaced(name: str, value):
    return lambda content: vars(content["model"]).update({name: value})


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
    "method": (replaced("fuse", TorchVision), "holds the function or class TorchVision as fuse"),
    "module for a method": (replaced("fuse", nn.Identity()), "replaces fuse of DetectionModel, which would be called"),
    "hook": (hooked, "holds a hook, which would be called, in _forward_hooks of Conv"),
    "forward of another": (
        lambda content: vars(content["model"].model[0]).update(forward=content["model"].model[1].forward_fuse),
        "holds the function or class Conv.forward_fuse as forward",
    ),
    "hooks that are no dict": (hooked_by_a_module, "holds a hook, which would be called, in _forward_hooks of Conv"),
    "ways without end": (shared_forty_times, "holds a Sequential with more than 20000 ways to a layer in it"),
    "circle": (in_itself, "holds a Sequential that contains itself"),
    "attribute of a tensor": (in_a_tensor, "holds the function or class TorchVision as hooked"),
    "in train_args": (in_a_list, "holds the function or class Conv as "),
}


@pytest.mark.parametrize("kind", HELD)
def test_nothing_lies_in_it_that_would_be_called_later(kind, here, checkpoint):
    change, sentence = HELD[kind]
    path = changed(checkpoint, here / "bad.pt", change)
    with pytest.raises(InputError) as error:
        load(path)
    assert f" {sentence}" in str(error.value) and str(error.value).endswith(TRUST)


def test_what_fused_and_older_checkpoints_hold_is_read(here, checkpoint):
    def fuse(content: dict) -> None:
        content["model"].model[0].forward = content["model"].model[0].forward_fuse
        content["model"].model[-1].detect = Detect.forward

    model = load(changed(checkpoint, here / "good.pt", fuse))
    assert model.model[0].forward.__func__ is Conv.forward_fuse and model.model[-1].detect is Detect.forward


def test_modelopt_builds_nothing_but_int8(here, checkpoint):
    def ask(content: dict) -> None:
        content["modelopt"] = {"modelopt": {"modelopt_state_dict": [("kd_loss", {})]}, "ranges": {}}

    with pytest.raises(InputError, match=r"bad\.pt asks ModelOpt for kd_loss, which no checkpoint"):
        load(changed(checkpoint, here / "bad.pt", ask))


# --- every class that may be named, by program


def allowed() -> Iterator[type]:
    """Every class that ultralytics' loading allows by its module, as `_SafeLoad.loading` has it, and its transforms."""
    whole = "ultralytics.nn.distill_model", "ultralytics.utils.loss", "ultralytics.utils.tal"
    names = [*whole, "torch.nn.modules", "ultralytics.nn.modules", "ultralytics.nn.tasks"]
    for package in ("torch.nn.modules", "ultralytics.nn.modules"):
        names += [
            f"{package}.{found.name}" for found in pkgutil.iter_modules(importlib.import_module(package).__path__)
        ]
    seen = set()
    for name in names:
        for kind in vars(importlib.import_module(name)).values():
            if isinstance(kind, type) and (kind.__module__ == name if name in whole else issubclass(kind, nn.Module)):
                seen.add(kind)
    tvt = torchvision.transforms.transforms
    return iter(sorted({*seen, tvt.Compose, tvt.Normalize, tvt.Resize, tvt.CenterCrop, tvt.ToTensor}, key=str))


def test_no_allowed_class_can_be_called_by_a_pickle(here):
    """All in one file each: none runs its constructor, though each can be made without it."""
    count = 0
    for kind in allowed():
        path = here / "bad.pt"
        data = b"\x80\x02c" + f"{kind.__module__}\n{kind.__qualname__}\n".encode() + b")R."
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("archive/data.pkl", data)
            archive.writestr("archive/version", "3\n")
            archive.writestr("archive/byteorder", "little")
        if kind is distill_model.FeatureHook:  # it keeps a dictionary and a number, and is none of a module's methods
            continue
        with tasks._SafeLoad.loading(path), pytest.raises(stranger.Refused, match=r"^calls "):
            stranger.load(path)
        count += 1
    assert count > 300


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


def test_a_classification_model_with_transforms_is_read_in_a_process_of_its_own(here):
    model = tasks.ClassificationModel("yolo11n-cls.yaml", nc=2, verbose=False)
    model.transforms = classify_transforms(64)
    torch.save({"model": model, "train_args": {"imgsz": 64}}, here / "cls.pt")
    words = [sys.executable, "-m", "optimize.flops", "model=cls.pt"]
    done = subprocess.run(
        words, cwd=here, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": python_path(ROOT)}
    )
    assert done.returncode == 0, done.stderr


# --- what it says of itself


SAYS = {
    "yaml=None": (replaced("yaml", None), "has the yaml None, which describes no network"),
    "yaml={}": (replaced("yaml", {}), "has a yaml without backbone and head, which describes no network"),
    "names=None": (replaced("names", None), "has the class names None, which are no names by number"),
    "names={1: a}": (replaced("names", {1: "a"}), "has the class names of type dict, which are no names by number"),
    "names={}": (replaced("names", {}), "has the class names of type dict, which are no names by number"),
    "names=[None]": (replaced("names", [None]), "has the class names of type list, which are no names by number"),
    "names='ab'": (replaced("names", "ab"), "has the class names 'ab', which are no names by number"),
    "task=1": (replaced("task", 1), "has the task 1, which is none"),
    "stride=0": (replaced("stride", torch.zeros(3)), "has the stride of type Tensor, which is no number of pixels"),
    "stride=nan": (replaced("stride", torch.tensor([float("nan")])), "has the stride of type Tensor, which is no"),
    "model=[]": (lambda content: content["model"]._modules.update(model=None), "is not a YOLO checkpoint"),
}  # fmt: skip


@pytest.mark.parametrize("kind", SAYS)
def test_what_a_checkpoint_says_of_itself_is_checked(kind, here, checkpoint):
    change, sentence = SAYS[kind]
    with pytest.raises(InputError) as error:
        load(changed(checkpoint, here / "bad.pt", change))
    assert f"bad.pt {sentence}" in str(error.value)


@pytest.mark.parametrize("size", [None, "640", "x", 10**9, -1, 0, [64, 64, 64], [64, "a"], float("nan"), {}])
def test_a_size_that_is_none_is_a_sentence(size, here, checkpoint, dataset, monkeypatch, capsys):
    path = changed(checkpoint, here / "bad.pt", lambda content: content["train_args"].update(imgsz=size))
    code, _, err = command(monkeypatch, capsys, f"model={path}", f"data={dataset}", "prune=0", "threads=1", "rounds=12")
    assert code == 1 and err.splitlines()[-1].startswith(
        "error: the checkpoint says that it was trained at imgsz="
    ) and err.splitlines()[-1].endswith(", which is no size; give imgsz=, e.g. 640.")  # fmt: skip


# --- small files, large work


def expanded(content: dict) -> None:
    content["model"].model[0].conv.weight.data = torch.zeros(1).half().expand(10**6, 1000, 1000)


def test_a_view_of_terabytes_is_refused(here, checkpoint):
    with pytest.raises(InputError, match=r"bad\.pt holds tensors of 2000\.0 GB in 0\.\d+ GB"):
        load(changed(checkpoint, here / "bad.pt", expanded))


def test_an_archive_that_unpacks_to_gigabytes_is_refused(here):
    with (
        zipfile.ZipFile(here / "bad.pt", "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("archive/data/0", "w") as file,
    ):
        for _ in range(300):
            file.write(bytes(2**20))
    with pytest.raises(InputError, match=r"bad\.pt is an archive that unpacks to 0\.3 GB"):
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
    with pytest.raises(InputError, match=r"model\.9\.m \(MaxPool2d\) fails with RuntimeError: more than 5000 calls"):
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
    with pytest.raises(InputError, match=r"old\.pt is (in the format of torch before 1\.6|not a YOLO checkpoint)"):
        load(here / "old.pt")


# --- what a training would take out of it


def test_augmentations_out_of_a_checkpoint_need_trust(here, checkpoint):
    def name(content: dict) -> None:
        content["train_args"]["augmentations"] = [{"__class_fullname__": "os.system"}]

    model = load(changed(checkpoint, here / "aug.pt", name))
    assert "augmentations" not in _carried(model)
    with trusted(True):
        assert _carried(model)["augmentations"] == [{"__class_fullname__": "os.system"}]


def writing(self, x):
    (Path.cwd() / "written").touch()


def test_what_computes_is_tried_behind_the_fence(here, checkpoint, monkeypatch):
    """Also where a block of ultralytics itself would do more than compute."""
    monkeypatch.setattr(Conv, "forward_fuse", writing)
    with pytest.raises(InputError, match=r"model\.0 \(Conv\) fails with Confined: open of "):
        open_model(str(checkpoint))
    assert files(here) == []


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
