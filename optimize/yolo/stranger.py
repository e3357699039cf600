"""A checkpoint of a stranger is read: its classes are made, never called, and it holds nothing that would be.

torch reads only allowed classes, but a pickle may *call* them with any arguments, and ultralytics allows all its own,
some of which fetch (`TorchVision`, `DistillationModel`). An honest checkpoint never calls one: pickle makes a module
without its constructor and gives it its state. Importing this module puts that between ultralytics and torch.

Source of the protocol: https://docs.python.org/3/library/pickle.html, https://docs.pytorch.org/docs/stable/notes/serialization.html
"""

import inspect
import pathlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from enum import Enum
from pathlib import Path
from threading import RLock
from types import BuiltinFunctionType, FunctionType, MethodType
from typing import Any
from unittest.mock import patch
from zipfile import ZipFile, is_zipfile

import numpy as np
import torch
import torch._weights_only_unpickler as unpickler
from torch import Tensor, nn
from ultralytics.nn import tasks
from ultralytics.nn.distill_model import FeatureHook
from ultralytics.utils import IterableSimpleNamespace

from optimize.host.confined import confined

# Values, which pickle makes by a call; a hook only fills a dictionary, and ultralytics puts new ones where some lay.
CALLED = pathlib.PurePath, Enum, IterableSimpleNamespace, np.dtype, np.generic, FeatureHook
HEAP_TYPE = (
    1 << 9
)  # of CPython's tp_flags: its constructor can be replaced; those of exceptions only keep their arguments
MODES = "quantize", "max_calibrate"
SPARE = 100 * 2**20  # bytes that tensors may have beyond what the file stores, and an archive beyond its own size
UNPACKED = 10  # times its own size, the most that an archive may hold

# Of what torch itself allows, all that an honest checkpoint of a module calls; the rest makes tensors of any size, or
# calls what the file says (`_rebuild_from_type_v2`).
KEPT = {
    *(
        "collections.OrderedDict",
        "collections.Counter",
        "torch.nn.parameter.Parameter",
        "torch.serialization._get_layout",
    ),
    *("torch.Size", "torch.device", "_codecs.encode", "builtins.set", "builtins.complex"),
    *(f"torch._utils._rebuild_{name}" for name in ("tensor", "tensor_v2", "tensor_v3", "parameter")),
}
PATHS = 20_000  # from a network to a module in it, with those to what is shared counted each; the largest has 1,500
_alone = RLock()  # the constructors are those of the whole process


MISSING = object()
TENSOR = object()  # stands for the class torch.Tensor in a pickle, and can't be called
REBUILD, PARAMETER = "torch._tensor._rebuild_from_type_v2", "torch._utils._rebuild_parameter"
NUMBERS = np.float32, np.float16, np.int64, np.int32, np.bool_  # beside np.float64, in which a fitness may be noted


class Refused(Exception):
    """What a checkpoint does, or holds, that none of ultralytics does or holds; as the end of a sentence."""


def load(path: str | Path, **arguments: Any) -> Any:
    """`torch.load(path, weights_only=True, **arguments)`, which calls no class and returns no callable.

    Raises:
        Refused: it would call one, it holds one, or it is small and stands for very much.
    """
    check_archive(path)
    with _alone, confined(), _never_called(), _few_functions():
        content = torch.load(path, weights_only=True, **arguments)
    check(content)
    return content


def member(of: Any, name: str) -> Any:
    """In place of `getattr` in a pickle: the few attributes that honest checkpoints name.

    Of any other, such as `Conv.default_act`, a pickle could change what the whole process shares.

    Raises:
        Refused: it is another one.
    """
    if isinstance(of, type) and issubclass(of, Enum) and name in of.__members__:
        return of[name]
    if isinstance(of, type) and issubclass(of, nn.Module) and name == "forward":
        return of.forward
    if isinstance(of, nn.Module) and name in ("forward", "forward_fuse"):
        return getattr(type(of), name).__get__(of)
    raise Refused(f"asks for {name} of {of.__qualname__ if isinstance(of, type) else type(of).__qualname__}")


def check(content: Any) -> None:
    """Look through everything that was read from a checkpoint.

    Raises:
        Refused: a method is replaced, a hook or a class lies in it, or its tensors are larger than what it stores.
    """
    tensors: dict[int, Tensor] = {}
    modules: dict[int, nn.Module] = {}
    _check_modelopt(content)
    for owner, key, value in _values(content):
        if isinstance(value, type | FunctionType | BuiltinFunctionType | MethodType):
            if not _is_own_method(owner, key, value):
                raise Refused(f"holds the function or class {getattr(value, '__qualname__', value)} as {key}")
        elif str(key).endswith("_hooks") and isinstance(owner, nn.Module) and value is vars(owner).get(key):
            if not isinstance(value, dict) or any(type(hook) is not FeatureHook for hook in value.values()):
                raise Refused(f"holds a hook, which would be called, in {key} of {type(owner).__name__}")
        elif callable(value) and inspect.getattr_static(type(owner), str(key), MISSING) is not MISSING:
            raise Refused(f"replaces {key} of {type(owner).__name__}, which would be called")
        if isinstance(value, Tensor):
            if value._backward_hooks or value._post_accumulate_grad_hooks:
                raise Refused("holds a hook, which would be called, at a tensor")
            tensors[id(value)] = value
        if isinstance(value, nn.Module):
            modules[id(value)] = value
    _check_sizes(list(tensors.values()))
    _check_paths(modules)


def _check_modelopt(content: Any) -> None:
    """`yolo train quantize=8` leaves two modes; others build models from what the file says."""
    state = content.get("modelopt") if isinstance(content, dict) else None
    if state:
        modes = [entry[0] for entry in state["modelopt"]["modelopt_state_dict"]]
        if other := [mode for mode in modes if mode not in MODES]:
            raise Refused(f"asks ModelOpt for {other[0]}")


def _is_own_method(owner: Any, key: Any, value: Any) -> bool:
    """What fusing leaves (`conv.forward = conv.forward_fuse`) and older heads keep (`head.detect = Detect.forward`)."""
    if isinstance(value, MethodType):
        return key == "forward" and value.__self__ is owner and value.__name__ in ("forward", "forward_fuse")
    heads = [kind for kind in vars(tasks).values() if isinstance(kind, type) and issubclass(kind, tasks.Detect)]
    return key == "detect" and any(value is kind.forward for kind in heads)


def _values(content: Any) -> Iterator[tuple[Any, Any, Any]]:
    """Everything in it once, with the object and the attribute (or key) that holds it; no recursion, it may be deep."""
    seen: set[int] = set()
    left = [(None, None, content)]
    while left:
        owner, key, value = left.pop()
        yield owner, key, value
        if id(value) in seen or isinstance(value, type | FunctionType | BuiltinFunctionType | MethodType):
            continue
        seen.add(id(value))
        if isinstance(value, dict):
            left += [(owner, key, item) for item in value]
            left += [(owner, item if owner is None else key, value[item]) for item in value]
        elif isinstance(value, list | tuple | set | frozenset):
            left += [(owner, key, item) for item in value]
        if hasattr(value, "__dict__") and not isinstance(value, Enum):  # its members are the class's, not the file's
            left += [(value, name, item) for name, item in vars(value).items()]


def _check_sizes(tensors: list[Tensor]) -> None:
    """A view may say that it is a terabyte, over four stored bytes; a copy of it would be."""
    stored = {
        tensor.untyped_storage()._cdata: tensor.untyped_storage().nbytes() for tensor in tensors if _dense(tensor)
    }
    claimed = sum(tensor.numel() * tensor.element_size() for tensor in tensors)
    if claimed > 2 * sum(stored.values()) + SPARE:
        raise Refused(f"holds tensors of {claimed / 1e9:.1f} GB in {sum(stored.values()) / 1e9:.3f} GB")


def _check_paths(modules: dict[int, nn.Module]) -> None:
    """Two modules that share their children, and these theirs, are a few lines and more calls than can ever end."""
    paths: dict[int, int] = {}
    waiting = [(key, False) for key in modules]
    above: set[int] = set()
    while waiting:
        key, ready = waiting.pop()
        children = [id(child) for child in modules[key]._modules.values() if isinstance(child, nn.Module)]
        if ready:
            above.discard(key)
            paths[key] = 1 + sum(paths[child] for child in children)
            if paths[key] > PATHS:
                raise Refused(f"holds a {type(modules[key]).__name__} with more than {PATHS} ways to a layer in it")
        elif key not in paths:
            if any(child in above or child == key for child in children):
                raise Refused(f"holds a {type(modules[key]).__name__} that contains itself")
            above.add(key)
            waiting.append((key, True))
            waiting += [(child, False) for child in children if child not in paths]


def _dense(tensor: Tensor) -> bool:
    if tensor.layout is not torch.strided or tensor.device.type == "meta":
        raise Refused(f"holds a tensor of layout {tensor.layout} on {tensor.device}")
    return True


def check_archive(path: str | Path) -> None:
    """Raises Refused where a zip stands for much more than its size; torch itself compresses nothing."""
    if is_zipfile(path):
        with ZipFile(path) as archive:
            unpacked = sum(entry.file_size for entry in archive.infolist())
        if unpacked > UNPACKED * Path(path).stat().st_size + SPARE:
            raise Refused(f"is an archive that unpacks to {unpacked / 1e9:.1f} GB")


@contextmanager
def _never_called() -> Iterator[None]:
    """Whatever torch is allowed to read can be made, but no constructor runs."""
    with ExitStack() as stack:
        for entry in torch.serialization.get_safe_globals():
            kind = entry[0] if isinstance(entry, tuple) else entry
            if isinstance(kind, type) and kind.__flags__ & HEAP_TYPE and not issubclass(kind, CALLED):
                stack.enter_context(patch.object(kind, "__init__", _refuse_call))
        yield


@contextmanager
def _few_functions() -> Iterator[None]:
    """Of torch's own names only `KEPT` and what can't be called; tensors with attributes come from `_tensor`."""
    known = unpickler._get_allowed_globals()
    few = {name: value for name, value in known.items() if name in KEPT or not callable(value)}
    few |= {"torch.Tensor": TENSOR, REBUILD: _tensor, f"{PARAMETER}_with_state": _parameter}
    with patch.dict(known, few, clear=True), patch.object(Enum, "__setstate__", _refuse_state, create=True):
        yield


def _tensor(function: Any, kind: Any, arguments: tuple, state: Any) -> Tensor:
    """In place of torch's `_rebuild_from_type_v2`: a tensor or parameter with attributes of its own."""
    if function not in [getattr(torch._utils, name.rpartition(".")[2]) for name in KEPT if "_rebuild_" in name]:
        raise Refused(f"calls {getattr(function, '__qualname__', function)} to make a tensor")
    if kind not in (TENSOR, nn.Parameter):
        raise Refused(f"makes a tensor of the class {getattr(kind, '__qualname__', kind)}")
    return _with_attributes(function(*arguments), state)


def _parameter(data: Tensor, requires_grad: bool, hooks: Any, state: Any) -> Tensor:
    """In place of torch's `_rebuild_parameter_with_state`."""
    return _with_attributes(torch._utils._rebuild_parameter(data, requires_grad, hooks), state)


def _with_attributes(tensor: Tensor, state: Any) -> Tensor:
    attributes = state if isinstance(state, dict) else {}
    if state and not attributes:
        raise Refused("gives a tensor a state that is no attributes")
    for name, value in attributes.items():
        if not isinstance(name, str) or hasattr(Tensor, name):
            raise Refused(f"sets {name} of a tensor, which is torch's own")
        vars(tensor)[name] = value
    return tensor


def _refuse_state(self: Any, _state: Any) -> None:
    raise Refused(f"changes {self}, which the whole process shares")


def _refuse_call(self: Any, *_arguments: Any, **_named: Any) -> None:
    raise Refused(f"calls {type(self).__module__}.{type(self).__qualname__}")


def _torch_load(*arguments: Any, **named: Any) -> Any:
    """In place of ultralytics' own, which it calls with `weights_only` only where a file is not trusted."""
    if not named.pop("weights_only", False):
        return _stock_load(*arguments, **named)
    return load(*arguments, **named)


_stock_load, tasks.torch_load = tasks.torch_load, _torch_load
torch.serialization.add_safe_globals([type(np.dtype(number)) for number in NUMBERS])
_known = tasks._SafeLoad._build
tasks._SafeLoad._build = staticmethod(lambda: _known() | {"builtins.getattr": member})
