"""Runs a network again after a few of its layers were changed, without computing what they do not reach."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any
from unittest.mock import patch

from torch import Tensor, nn
from torch.utils._pytree import tree_leaves
from ultralytics.nn.tasks import BaseModel


@contextmanager
def remembering(model: BaseModel) -> Iterator[set[str]]:
    """Inside, a module that is called again with the same tensors answers with its output of the first time.

    So what lies before the changed layers is computed once, and branches that they do not reach. It holds for one
    batch: the modules are the top-level ones, whose outputs are kept, and the branches of the head.

    Yields:
        Names of the layers that differ from the first time, e.g. `model.4.cv1.conv`; the caller changes this set. The
        modules that hold them are computed.
    """
    changed, known = set[str](), dict[str, Seen]()
    with ExitStack() as stack:
        for name, module in _parts(model):
            forward = partial(_answer, name, module.forward, changed, known)
            stack.enter_context(patch.object(module, "forward", forward))
        yield changed


# The arguments of a call, each tensor with its version, which a change in place raises; and what it gave.
Seen = tuple[list[tuple[object, int]], Any]


def _answer(
    name: str, forward: Callable[..., Any], changed: set[str], known: dict[str, Seen], *args: Any, **named: Any
) -> Any:
    given = [(leaf, leaf._version if isinstance(leaf, Tensor) else 0) for leaf in tree_leaves((args, named))]
    if name not in known:
        known[name] = given, forward(*args, **named)
        return known[name][1]
    before, output = known[name]
    alike = len(given) == len(before) and all(a is b and v == w for (a, v), (b, w) in zip(given, before, strict=True))
    if alike and not any(layer.startswith(f"{name}.") for layer in changed):
        return output
    return forward(*args, **named)


def _parts(model: BaseModel) -> Iterator[tuple[str, nn.Module]]:
    last = len(model.model) - 1
    for index, module in enumerate(model.model):
        yield f"model.{index}", module
    for name, module in model.model[last].named_modules():
        if isinstance(module, nn.ModuleList):
            yield from ((f"model.{last}.{name}.{child}", part) for child, part in module.named_children())
