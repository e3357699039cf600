"""While a stranger's pickle is read, nothing that it names is called, but what makes plain values and tensors."""

import pathlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from enum import Enum
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
import torch._weights_only_unpickler as unpickler
from torch import Tensor, nn
from ultralytics.nn.distill_model import FeatureHook
from ultralytics.utils import IterableSimpleNamespace

# Values, which pickle makes by a call; a hook only fills a dictionary, and ultralytics puts new ones where some lay.
CALLED = pathlib.PurePath, Enum, IterableSimpleNamespace, np.dtype, np.generic, FeatureHook
NUMBERS = np.float32, np.float16, np.int64, np.int32, np.bool_  # beside np.float64, in which a fitness may be noted
# Of CPython's tp_flags: a constructor can be replaced; those of exceptions, which can't, only keep their arguments.
HEAP_TYPE = 1 << 9
# Of what torch itself allows, all that an honest checkpoint of a module calls; the rest makes tensors of any size, or
# calls what the file says (`_rebuild_from_type_v2`).
KEPT = {
    *("collections.OrderedDict", "collections.Counter", "torch.Size", "torch.device", "torch.nn.parameter.Parameter"),
    *("torch.serialization._get_layout", "_codecs.encode", "builtins.set", "builtins.complex"),
    *(f"torch._utils._rebuild_{name}" for name in ("tensor", "tensor_v2", "tensor_v3", "parameter")),
}
REBUILD, PARAMETER = "torch._tensor._rebuild_from_type_v2", "torch._utils._rebuild_parameter"
TENSOR = object()  # stands for the class torch.Tensor in a pickle, and can't be called


class Refused(Exception):
    """What a checkpoint does, or holds, that none of ultralytics does or holds; as the end of a sentence."""


@contextmanager
def uncalled() -> Iterator[None]:
    """Meanwhile torch, in the whole process, calls no class and no function of the choice of the file that it reads."""
    with _never_called(), _few_functions():
        yield


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


torch.serialization.add_safe_globals([type(np.dtype(number)) for number in NUMBERS])
