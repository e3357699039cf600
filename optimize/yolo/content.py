"""What was read from a stranger's checkpoint holds nothing that would be called, or is far larger than the file."""

import inspect
from collections.abc import Iterator
from enum import Enum
from types import BuiltinFunctionType, FunctionType, MethodType
from typing import Any

import torch
from torch import Tensor, nn
from ultralytics.nn import tasks
from ultralytics.nn.distill_model import FeatureHook

from optimize.yolo.uncalled import Refused

MODES = "quantize", "max_calibrate"
SPARE = 100 * 2**20  # bytes that tensors may have beyond what the file stores
PATHS = 20_000  # from a network to a module in it, with those to what is shared counted each; the largest has 1,500
HOOKS = frozenset(name for name in vars(nn.Module()) if name.endswith("_hooks"))
MISSING = object()


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
        elif key in HOOKS and isinstance(owner, nn.Module) and value is vars(owner).get(key):
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
    heads: list[Any] = [
        kind for kind in vars(tasks).values() if isinstance(kind, type) and issubclass(kind, tasks.Detect)
    ]
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
