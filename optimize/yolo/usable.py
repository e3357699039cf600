"""Whether a checkpoint that loads also computes under the ultralytics that is installed."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import nn
from ultralytics import __version__ as ultralytics_version
from ultralytics.nn import tasks

from optimize.errors import InputError
from optimize.host.confined import confined
from optimize.yolo import checkpoint
from optimize.yolo.find import find
from optimize.yolo.foreign import plain
from optimize.yolo.watched import Watched

STEPS = 4  # of the stride: the smallest input at which every family finds enough places to look at, RT-DETR included
LONGEST = 200  # characters of what a checkpoint says of its maker
CALLS, ELEMENTS = 20_000, 2**28  # of torch in one forward pass, and of one tensor in it: far more than any in use


class _Calls:
    """Ends a forward pass that computes without end, or for its small input with tensors of gigabytes."""

    def __init__(self):
        self.count = 0

    def __call__(self, _function: Callable, result: Any) -> None:
        self.count += 1
        if self.count > CALLS or (isinstance(result, torch.Tensor) and result.numel() > ELEMENTS):
            raise RuntimeError(f"more than {CALLS} calls of torch, or a tensor of more than {ELEMENTS} numbers")


def open_model(called: str, key: str = "model") -> tuple[Path, nn.Module]:
    """The checkpoint that a user calls `called`, and its float32 model as `checkpoint.load` gives it.

    Args:
        called: as for `find`.
        key: where it was given on the command line, for the error's sentence.

    Raises:
        InputError: there is none, it can't be loaded, or it can't compute.
    """
    path = find(called, key)
    model = checkpoint.load(path, key)
    check_computes(f"{key}={called}", path, model)
    return path, model


def check_computes(called: str, path: Path, model: nn.Module) -> None:
    """One forward pass of what would be deployed, at a small size: a pickle keeps blocks whose code has changed since.

    Raises:
        InputError: it fails; the block and what made the file are named.
    """
    side = STEPS * checkpoint.stride(model)
    try:
        with torch.inference_mode(), confined(tasks.SAFE_LOAD), Watched(_Calls()):
            checkpoint.deployed(model)(torch.zeros(1, checkpoint.channels(model), side, side))
    except MemoryError:
        raise
    except Exception as error:  # the code of any block
        block = next(iter(_blocks(error)), "its forward pass")
        maker = "; ".join(_origin(checkpoint.read(path)[1]))
        raise InputError(
            f"{called} can't run under ultralytics {ultralytics_version}, so a fork or another version made it"
            f"{f' ({maker})' if maker else ''}: {block} fails with {plain(error).rstrip('.')}; give a checkpoint that "
            "was trained with ultralytics 8.4, or install what made it."
        ) from error


def _blocks(error: Exception) -> Iterator[str]:
    """The modules in which it was raised, from the inside out, e.g. `model.6.m.0.attn (AAttn)`."""
    owners, trace = [], error.__traceback__
    while trace:
        owners.append(trace.tb_frame.f_locals.get("self"))
        trace = trace.tb_next
    modules = [owner for owner in owners if isinstance(owner, nn.Module)]
    names = {id(module): name for name, module in modules[0].named_modules()} if modules else {}
    for module in reversed(modules):
        if names.get(id(module)):
            yield f"its block {names[id(module)]} ({type(module).__name__})"


def _origin(beside: dict[str, Any]) -> Iterator[str]:
    """What a checkpoint says of its maker."""
    git, arguments = beside.get("git"), beside.get("train_args")
    origin = git.get("origin") if isinstance(git, dict) else None
    start = arguments.get("model") if isinstance(arguments, dict) else None
    date = beside.get("date")
    told = {
        "ultralytics ": beside.get("version"),
        "": origin,
        "on ": date[:10] if isinstance(date, str) else None,
        "from ": start,
    }
    yield from (f"{words}{text[:LONGEST]}" for words, text in told.items() if isinstance(text, str) and text)
