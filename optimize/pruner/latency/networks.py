"""Networks of one architecture with random widths and blocks, as a runtime deploys them, to be timed."""

from contextlib import redirect_stderr
from copy import deepcopy
from dataclasses import dataclass, replace
from hashlib import sha256
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from torch import nn

from optimize.input_size import Size
from optimize.int8_cpu import Int8Cpu
from optimize.measure.operations import count
from optimize.pruner.blocks import Block, blocks
from optimize.pruner.budget import allowed
from optimize.pruner.selection import Selection, narrow
from optimize.pruner.size import widths_by_use
from optimize.pruner.trace import Trace
from optimize.pruner.tracker import trace
from optimize.variant import Variant
from optimize.yolo import coupling
from optimize.yolo.checkpoint import deployed, save
from optimize.yolo.depth import Branch, removable

if TYPE_CHECKING:
    from optimize.runtime.session import Runtime

STEP, MOST_REMOVED = 8, 0.875  # widths of the networks: multiples of it, and at least the rest of the layer
APART = 0.4  # how far the shares that blocks of one network keep may lie from their mean
GONE = 0.5  # chance of each branch to go, in every second network


@dataclass(frozen=True)
class Drawn:
    """What a network has of the original.

    Attributes:
        kept: the units that each block of coupled channels keeps.
        gone: the branches that are removed.
    """

    kept: np.ndarray
    gone: tuple[Branch, ...] = ()


@dataclass(frozen=True)
class Traced:
    """A model whose channels were traced.

    Attributes:
        layers: by name, the uses (see `trace.Use`) of every deployed layer with weights: outputs and inputs, or one
            that is both.
    """

    model: nn.Module
    trace: Trace
    blocks: list[Block]
    layers: dict[str, tuple[int, ...]]

    @property
    def full(self) -> dict[str, tuple[int, ...]]:
        """The channels of each layer as they are."""
        return self.widths(Drawn(np.array([block.units for block in self.blocks])))

    def widths(self, drawn: Drawn) -> dict[str, tuple[int, ...]]:
        """The channels of each layer that is left in a network."""
        by_use = widths_by_use(self.trace, self.blocks, drawn.gone) @ drawn.kept
        return {
            name: tuple(round(by_use[use]) for use in uses)
            for name, uses in self.layers.items()
            if not any(branch.holds(name) for branch in drawn.gone)
        }


def traced(model: nn.Module, imgsz: Size) -> Traced:
    """Trace the channels of `model`; its layers are those that run when it is deployed."""
    channels = trace(coupling.traceable(model), imgsz, coupling.RULES, coupling.HALVING, coupling.predictions)
    names = coupling.unfused_names(model)
    running = {names.get(layer.name, layer.name) for layer in count(deployed(model), imgsz).layers if layer.flops}
    layers = {term.layer: term.uses for term in reversed(channels.terms) if term.layer in running}
    return Traced(model, channels, blocks(channels), dict(reversed(layers.items())))


def architecture(model: nn.Module) -> str:
    """Identifies the layers of a model and their widths: 16 hex digits over the shapes of its parameters, by name."""
    shapes = [f"{name} {tuple(tensor.shape)}" for name, tensor in model.state_dict().items()]
    return sha256("\n".join((type(model).__name__, *shapes)).encode()).hexdigest()[:16]


def draw(source: Traced, number: int, seed: int) -> list[Drawn]:
    """Draw networks of the architecture; the first is the original.

    They differ in size and, around it, block by block, so that no width follows from another. Every second one lacks
    some branches, which tells what the call of a kernel takes, whatever its widths.
    """
    branches, rng = removable(source.model), np.random.default_rng(seed)
    return [
        Drawn(kept, tuple(branch for branch in branches if i and i % 2 == 0 and rng.random() < GONE))
        for i, kept in enumerate(_random_units(source.blocks, number, seed))
    ]


def _random_units(coupled: list[Block], number: int, seed: int) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    options = [np.array([b.units]) if b.frozen else allowed(b, STEP, MOST_REMOVED, STEP) for b in coupled]
    networks = [np.array([block.units for block in coupled])]
    for size in (np.arange(number - 1) + 0.5) / max(number - 1, 1):
        mean = 0.25 + 0.75 * size
        shares = np.clip(mean + rng.uniform(-APART, APART, len(options)), 0, 1)
        networks.append(np.array([o[np.abs(o - s * o[-1]).argmin()] for o, s in zip(options, shares, strict=True)]))
    return networks


def made(source: Traced, drawn: Drawn, seed: int) -> nn.Module:
    """A copy of the model that is left with `drawn`, the units at random: its outputs mean nothing."""
    rng, model = np.random.default_rng(seed), deepcopy(source.model)
    keep = [
        np.isin(np.arange(block.units), rng.permutation(block.units)[block.units - units :])
        for block, units in zip(source.blocks, drawn.kept, strict=True)
    ]
    chosen = Selection(source.trace, source.blocks, keep, [""] * len(keep), left=0.0, ratio=None, branches=drawn.gone)
    narrow(model, chosen)
    return model


def deploy(model: nn.Module, runtime: "Runtime", precision: str, imgsz: Size, folder: Path, cpu: Int8Cpu) -> Variant:
    """Export `model` to the new folder `folder` as `runtime` deploys it in `precision`.

    An int8 file gets the runtime's first recipe for `cpu`, and the ranges of one image of noise, on which its time
    doesn't depend.
    """
    folder.mkdir()
    save(model, folder / "network.pt")
    exported = runtime.export(Variant(folder / "network.pt", "torch", "fp32", imgsz), folder)
    (folder / precision).mkdir()
    target = folder / precision / exported.path.name
    if precision == "fp32":
        target = exported.path
    elif precision == "int8":
        noise = np.random.default_rng(0).random((1, 3, imgsz.height, imgsz.width), dtype=np.float32)
        with redirect_stderr(StringIO()):  # a bar of the quantizer's for every network
            runtime.quantizer(exported.path, [noise], runtime.int8_recipes(cpu)[0]).write(target)
    else:
        writer = runtime.writer(precision)
        if isinstance(writer, str):
            raise ValueError(f"{runtime.info.title} has no {precision}: {writer}")
        writer(exported.path, target)
    (folder / "built").mkdir()
    return runtime.build(replace(exported, path=target, precision=precision), folder / "built")
