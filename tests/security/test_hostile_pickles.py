"""A checkpoint of a stranger runs nothing, fetches nothing and writes nothing, whatever its pickle calls."""

import importlib
import pkgutil
import zipfile
from collections.abc import Iterator

import pytest
import torch
import torchvision
from torch import nn
from torchvision.transforms import InterpolationMode
from ultralytics.nn import distill_model, tasks
from ultralytics.nn.modules import TorchVision
from ultralytics.nn.modules.conv import Conv
from ultralytics.nn.tasks import DetectionModel, WorldModel

from helpers.checkpoints import TRUST, Attribute, Call, changed, files
from optimize.errors import InputError
from optimize.yolo import stranger
from optimize.yolo.checkpoint import load, trusted

pytestmark = pytest.mark.usefixtures("fetched")


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
        assert f"model={path} calls {name}," in str(error.value) and TRUST in str(error.value)
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
        assert f" {refused}, " in str(error.value)
    assert fetched == []


def test_what_the_whole_process_shares_is_not_changed(here):
    """`Conv.default_act` is one object for every network that is built after this."""
    shared = Attribute(Conv, "default_act")
    torch.save({"model": Call(getattr, Conv, "default_act", state={"forward": None})}, here / "bad.pt")
    before = dict(vars(Conv.default_act))
    with pytest.raises(InputError, match="asks for default_act of Conv"):
        load(here / "bad.pt")
    assert vars(Conv.default_act) == before and shared


def state_of(tensor_state: dict, kind=nn.Parameter):
    """A parameter with attributes, as torch pickles one."""
    whole, bare = torch._utils._rebuild_tensor_v2, torch.zeros(4).untyped_storage()
    storage = torch.storage.TypedStorage(wrap_storage=bare, dtype=torch.float32, _internal=True)
    return Call(
        torch._tensor._rebuild_from_type_v2,
        whole,
        kind,
        (
            storage,
            0,
            (4,),
            (1,),
            False,
            {},
        ),
        tensor_state,
    )


HOOK = {"_post_accumulate_grad_hooks": {0: TorchVision}}
SHARED = {
    "hook in C": (lambda: state_of(HOOK), "sets _post_accumulate_grad_hooks of a tensor"),
    "gradient": (lambda: state_of({"grad": None}), "sets grad of a tensor"),
    "class of a tensor": (lambda: state_of({}, Conv), "makes a tensor of the class Conv"),
    "member of an enumeration": (
        lambda: Call(getattr, InterpolationMode, "BILINEAR", state={"_value_": "evil"}),
        "changes InterpolationMode.BILINEAR",
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


@pytest.mark.filterwarnings("ignore:.* deprecated:FutureWarning")  # what torch says of layers that are old
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
