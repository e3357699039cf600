"""Measures how much the loss rises when a part of a network alone is removed."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from copy import deepcopy
from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated

import numpy as np
import torch
from pydantic import ConfigDict, Field
from torch import Tensor, nn

from optimize.errors import MeasurementError
from optimize.pruner.blocks import Block
from optimize.pruner.trace import Trace
from optimize.yolo.depth import Branch, bypass
from optimize.yolo.loss import loss, outputs_of
from optimize.yolo.rerun import remembering

Finite = Annotated[float, Field(allow_inf_nan=False)]
Natural = Annotated[int, Field(ge=0, lt=2**31)]
NONE = 1e-9  # a rise that stands for none where its logarithm is taken


@dataclass(frozen=True)
class Sensitivity:
    """How much each unit of a block matters, and the loss without the least important ones.

    Attributes:
        scores: importance of each unit by the criterion; None where the block can't shrink or can't be scored.
        kept: numbers of units that trials kept, ascending.
        rises: the rise of the loss per image in each trial.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    scores: tuple[Finite, ...] | None
    kept: tuple[Natural, ...]
    rises: tuple[Finite, ...]

    def __post_init__(self) -> None:
        bounds = (0, *self.kept, len(self.scores or (0,)))
        if len(self.kept) != len(self.rises) or any(a >= b for a, b in pairwise(bounds)):
            raise ValueError("a trial keeps some of the units, and each has a rise")

    def at(self, options: np.ndarray) -> np.ndarray:
        """The rise at each of these numbers of units, ascending; the last is all of them, where it is 0.

        Between trials it follows a power of the number of units that are removed, beyond them its square, as the loss
        does near a minimum. It is never negative nor less than that of a wider option.
        """
        if not self.kept:
            return np.zeros(len(options))
        units = options[-1]
        removed = units - np.array(self.kept[::-1])
        rises = np.maximum.accumulate(np.maximum(self.rises[::-1], NONE))
        ends = rises[[0, -1]] * (np.array([1, units]) / removed[[0, -1]]) ** 2
        known = np.log([1, *removed, units]), np.log([ends[0], *rises, ends[1]])
        between = np.exp(np.interp(np.log(units - options[:-1]), *known))
        return np.append(np.where(between < 2 * NONE, 0.0, between), 0.0)


@dataclass(frozen=True)
class Sensitivities:
    """What a scan measured of a model.

    Attributes:
        blocks: in the order of `blocks.blocks`.
        branches: the rise of the loss per image without each branch of `depth.removable`, by name.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    blocks: tuple[Sensitivity, ...]
    branches: dict[str, Finite]


@dataclass(frozen=True)
class Trial:
    """A part of a network that is removed alone.

    Attributes:
        layers: names of the layers, or of the modules, that hold it and no others.
        without: inside, a model computes as if the part were removed; afterwards it is as it was.
    """

    layers: tuple[str, ...]
    without: Callable[[nn.Module], AbstractContextManager[None]]


def scores_of(scanned: Sequence[Sensitivity], blocks: Sequence[Block]) -> list[np.ndarray | None]:
    """The scores of the units of each block.

    Raises:
        MeasurementError: other blocks were scanned.
    """
    check_scores([measured.scores for measured in scanned], blocks)
    return [None if measured.scores is None else np.array(measured.scores) for measured in scanned]


def check_scores(scores: Sequence[Sequence[float] | None], blocks: Sequence[Block]) -> None:
    """Check that there is a score for each unit of these blocks.

    Raises:
        MeasurementError: there is not.
    """
    units = [None if score is None else len(score) for score in scores]
    alike = len(units) == len(blocks) and all(
        count in ((None,) if block.frozen else (None, block.units)) for count, block in zip(units, blocks, strict=True)
    )
    if not alike:
        raise MeasurementError("The scan of layers is of another model; delete its folder, so that it is made again.")


def narrowed(trace: Trace, block: Block, units: np.ndarray) -> Trial:
    """The trial without these units of a block: they are zero in every layer that holds them."""
    layers = {trace.uses[part.use].layer for part in block.parts if trace.uses[part.use].side != "none"}
    return Trial(tuple(sorted(layers)), lambda model: _zeroed(model, sorted(layers), trace, block, units))


def bypassed(branch: Branch) -> Trial:
    """The trial without a whole branch."""
    return Trial(branch.modules, lambda model: bypass(model, [branch.name]))


@dataclass(frozen=True)
class Meter:
    """The loss of a batch, and a function that measures its rise in a trial, see `measuring`."""

    whole: float
    rise: Callable[[Trial], float]


@contextmanager
def measuring(model: nn.Module, batch: dict[str, Tensor], seed: int) -> Iterator[Meter]:
    """A meter to be used inside; `model` is one that `losing` gave.

    The rise is that of the loss less its linear part, which is the change of the network's outputs times the gradient
    of the loss to them. Training has brought that part near zero over all images; over a few it is noise, in which the
    rise of a small change is lost. What is left is a Bregman divergence: for cross entropy, of which most losses
    consist, the Kullback-Leibler divergence from the outputs of the whole network, which is never negative.

    BatchNorm uses the statistics of the batch, since they are re-estimated after pruning; with the stored ones almost
    every cut raises the loss far too much. Only what the trial reaches is computed anew.

    Li et al., Pruning Filters for Efficient ConvNets (ICLR 2017, section 3.2), narrow each layer alone, too, and
    measure the accuracy. Bregman, The relaxation method of finding the common point of convex sets (1967).

    Raises:
        MeasurementError: the loss is not finite.
    """
    with remembering(model) as changed, outputs_of(model) as outputs:
        with torch.enable_grad():
            whole = loss(model, batch, seed)
            slopes = torch.autograd.grad(whole, outputs, allow_unused=True) if outputs else ()
        before, at = list(outputs), _finite(whole)

        @torch.no_grad()
        def rise(trial: Trial) -> float:
            with trial.without(model):
                changed.update(trial.layers)
                without = _finite(loss(model, batch, seed))
                changed.clear()
            changes = zip(slopes, outputs, before, strict=True)
            return without - at - sum(float((g * (new - old)).sum()) for g, new, old in changes if g is not None)

        yield Meter(at, rise)


def _finite(loss: Tensor) -> float:
    if not loss.isfinite():
        raise MeasurementError("the loss is not finite, so the layers can't be ranked by it.")
    return float(loss.detach())


@contextmanager
def _zeroed(model: nn.Module, layers: Sequence[str], trace: Trace, block: Block, units: np.ndarray) -> Iterator[None]:
    """Inside, these units are zero in `layers`, which are all that hold the block."""
    modules = [model.get_submodule(name) for name in layers]
    states = [deepcopy(module.state_dict()) for module in modules]
    _zero(model, trace, block, units)
    try:
        yield
    finally:
        for module, state in zip(modules, states, strict=True):
            module.load_state_dict(state)


@torch.no_grad()
def _zero(model: nn.Module, trace: Trace, block: Block, units: np.ndarray) -> None:
    for part in block.parts:
        use, positions = trace.uses[part.use], torch.from_numpy(part.positions[:, units].ravel())
        if use.side != "none":
            layer = model.get_submodule(use.layer)
            weight, bias = layer.get_parameter("weight"), layer.bias
            positions = positions.to(weight.device)
            weight.index_fill_(int((use.side == "in") != getattr(layer, "transposed", False)), positions, 0)
            if use.side != "in" and isinstance(bias, Tensor):
                bias[positions] = 0
