"""Which whole branches of a model can be removed, and their removal; stock modules of ultralytics are left.

A residual block adds something to its input, so without it the input is left. In C2f and its kin the output of each
block of a list goes to the next and also into a concatenation, which a 1x1 convolution reads. A removed residual block
leaves its input there, which is in the concatenation already: the weights that read the block's output are added to
those that read its input, since a convolution is linear. A block without a shortcut (in necks of YOLOv8, and C3k as a
whole) has nothing to leave, and pruning may have given its output another width than its input. It leaves zeros, as
a filter that is pruned does; so the blocks after it in the list, which would read them, go with it.

Some parts stay, though they look like branches. A chain of blocks without shortcuts (necks of YOLOv5): nothing can take
their place. C2fAttn of YOLO-World: its attention reads the last block of the list. PSA: its attention and feed-forward
are entries of no list. HGBlock and RepC3 of RT-DETR: no shortcut passes their single convolutions. RT-DETR's
transformer layers: they normalize the sum. Modules directly in the model (SPPF of YOLO26, single bottlenecks of
YOLOv3): others refer to them by position.

That a residual network survives the loss of single blocks: Veit et al., Residual Networks Behave Like Ensembles of
Relatively Shallow Networks (NeurIPS 2016, section 4.1).
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, Literal

import torch
from torch import Tensor, nn
from ultralytics.nn.modules import C2f, C2fCIB, C2fPSA
from ultralytics.nn.modules.block import (
    C2PSA,
    CIB,
    A2C2f,
    ABlock,
    Bottleneck,
    C3k,
    C3k2,
    GhostBottleneck,
    PSABlock,
    RepBottleneck,
    ResNetBlock,
)

from optimize.errors import InputError

# These cut the output of their cv1 into so many equal parts, and concatenate them with the outputs of the blocks of
# their list `m`, each of which reads what comes right before its own; their cv2 reads it all.
PARTS: dict[type, int] = {C2f: 2, C3k2: 2, C2fCIB: 2, C2fPSA: 2, A2C2f: 1}
# These cut it for their blocks alone: without any, they would put the parts together as they were.
CUTTING = (*(kind for kind, parts in PARTS.items() if parts > 1), C2PSA)


@dataclass(frozen=True)
class Branch:
    """Part of a model that can be removed.

    One branch may lie inside another, or go with it; to remove several is to remove all that any of them holds.

    Attributes:
        name: of its module, e.g. `model.4.m.1`; where others of its list are removed, those that stay are renumbered.
        leaves: what takes the place of its output: its `input`, or `zeros`.
        modules: names of the modules that vanish: its own and, where it leaves zeros, those after it in its list.
        reader: name of the convolution, e.g. `model.4.cv2.conv`, that reads the outputs of `modules` in a
            concatenation; "" where the output only goes to the next module.
        columns: positions of these outputs among the input channels of `reader`, which vanish there. Where the branch
            leaves its input, that lies in as many positions right before them.
    """

    name: str
    leaves: Literal["input", "zeros"]
    modules: tuple[str, ...]
    reader: str = ""
    columns: range = range(0)

    def holds(self, layer: str) -> bool:
        """Whether a layer vanishes with the branch; names are those of modules and of `pruner.trace.Term.layer`."""
        return any(layer == module or layer.startswith(f"{module}.") for module in self.modules)


def removable(model: nn.Module) -> tuple[Branch, ...]:
    """The branches of a network of ultralytics, pruned or not, in the order in which they run, outer before inner."""
    branches: dict[str, Branch] = {}
    for name, module in model.named_modules():
        if type(module) is nn.Sequential and name != "model":  # in the model itself, modules have positions
            branches |= {branch.name: branch for branch in _of_chain(name, module)}
        elif type(module) in PARTS:
            branches |= {branch.name: branch for branch in _of_list(name, module)}
    return tuple(branches[name] for name, _ in model.named_modules() if name in branches)


def cutting(model: nn.Module) -> dict[str, tuple[str, ...]]:
    """Modules that cut and concatenate for their blocks alone, by name, with the names of these blocks."""
    return {
        name: tuple(f"{name}.m.{index}" for index in range(len(module.m)))
        for name, module in model.named_modules()
        if type(module) in CUTTING
    }


@contextmanager
def bypass(model: nn.Module, names: Iterable[str]) -> Iterator[None]:
    """Meanwhile `model` computes as if the branches `names` were removed. Nothing is computed in them.

    Raises:
        InputError: a name is that of no branch.
    """
    swapped = []
    for branch in _outermost(model, names):
        widths = [len(branch.columns)] + [0] * (len(branch.modules) - 1)
        for name, width in zip(branch.modules, widths, strict=True):
            siblings, index = _place(model, name)
            swapped.append((siblings, index, siblings[index]))
            siblings[index] = nn.Identity() if branch.leaves == "input" else _Zeros(width)
    try:
        yield
    finally:
        for siblings, index, module in swapped:
            siblings[index] = module


@torch.no_grad()
def remove(model: nn.Module, names: Iterable[str]) -> None:
    """Remove the branches `names` from `model`, in place; it then computes what it did under `bypass`.

    BatchNorm keeps its statistics. Modules after a removed one in its list are renumbered.

    Raises:
        InputError: a name is that of no branch.
    """
    for branch in reversed(_outermost(model, names)):  # the last first, so that names and positions stay true
        if branch.reader:
            _remove_columns(model, branch)
        for name in reversed(branch.modules):
            siblings, index = _place(model, name)
            del siblings[index]


def name_after(layer: str, removed: Iterable[Branch]) -> str:
    """The name that a layer which stays has once `removed` are gone: later modules of a list are renumbered."""
    gone = {module for branch in removed for module in branch.modules}
    before, after = list[str](), list[str]()
    for part in layer.split("."):
        earlier = range(int(part)) if part.isdigit() else ()
        shift = sum(".".join([*before, str(index)]) in gone for index in earlier)
        after.append(str(int(part) - shift) if part.isdigit() else part)
        before.append(part)
    return ".".join(after)


def _of_chain(name: str, chain: nn.Sequential) -> Iterator[Branch]:
    """The branches among the entries of `chain`, each of which only the next reads."""
    for index, module in enumerate(chain):
        # A ResNetBlock ends in ReLU: it would leave its input only if that is never negative, as after another one.
        follows_relu = index > 0 and type(chain[index - 1]) is ResNetBlock
        if _is_residual(module) and (type(module) is not ResNetBlock or follows_relu):
            yield Branch(f"{name}.{index}", "input", (f"{name}.{index}",))


def _of_list(name: str, block: Any) -> Iterator[Branch]:
    """The branches among the entries of `block.m`, whose outputs are concatenated; see `PARTS`."""
    parts = PARTS[type(block)]
    widths = [block.cv1.conv.out_channels // parts] * parts
    for module in block.m:
        widths.append(widths[-1] if _is_residual(module) else _output_width(module))
    ends, names = list(accumulate(widths)), tuple(f"{name}.m.{index}" for index in range(len(block.m)))
    for index, module in enumerate(block.m):
        start, stop = ends[parts + index - 1 : parts + index + 1]
        if _is_residual(module):
            yield Branch(names[index], "input", names[index : index + 1], f"{name}.cv2.conv", range(start, stop))
        else:
            yield Branch(names[index], "zeros", names[index:], f"{name}.cv2.conv", range(start, ends[-1]))


def _is_residual(module: Any) -> bool:
    """Whether `module` adds something to its input and returns the sum."""
    kind = type(module)
    if kind is nn.Sequential:
        return all(map(_is_residual, module))
    if kind in (Bottleneck, RepBottleneck, CIB, PSABlock):
        return module.add
    if kind in (GhostBottleneck, ResNetBlock):
        return type(module.shortcut) is nn.Identity
    return kind is ABlock


def _output_width(module: Any) -> int:
    """Channels that a block without a shortcut returns; of such, the lists of `PARTS` hold three kinds."""
    last = {Bottleneck: "cv2.conv", CIB: "cv1.4.conv", C3k: "cv3.conv"}[type(module)]
    return module.get_submodule(last).out_channels


def _outermost(model: nn.Module, names: Iterable[str]) -> list[Branch]:
    """The branches `names` without those that another of them holds, in the order in which they run."""
    branches, asked = {branch.name: branch for branch in removable(model)}, set(names)
    for name in sorted(asked):
        if name not in branches:
            raise InputError(
                f"{name} is no branch that can be removed; give names of those that the model has, e.g. "
                f"{', '.join([*branches][:3]) or 'none here'}."
            )
    chosen = [branch for name, branch in branches.items() if name in asked]
    return [branch for branch in chosen if not any(b.holds(branch.name) for b in chosen if b is not branch)]


def _place(model: nn.Module, name: str) -> tuple[Any, int]:
    """The Sequential or ModuleList that holds the module `name`, and its position there."""
    parent, _, index = name.rpartition(".")
    return model.get_submodule(parent), int(index)


def _remove_columns(model: nn.Module, branch: Branch) -> None:
    conv: Any = model.get_submodule(branch.reader)
    weight, start, stop = conv.weight.detach().clone(), branch.columns.start, branch.columns.stop
    if branch.leaves == "input":
        weight[:, start - len(branch.columns) : start] += weight[:, start:stop]
    conv.weight = nn.Parameter(torch.cat([weight[:, :start], weight[:, stop:]], 1), conv.weight.requires_grad)
    conv.in_channels = conv.weight.shape[1]


class _Zeros(nn.Module):
    """Returns `width` channels of zeros in the size of its input."""

    def __init__(self, width: int):
        super().__init__()
        self.width = width

    def forward(self, x: Tensor) -> Tensor:
        return x.new_zeros(x.shape[0], self.width, *x.shape[2:])
