"""FLOPs and time of each block of the network before and after; the two seldom shrink by the same share."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # `block` serves graphs as well, which need no torch
    from optimize.measure.cost import Cost
    from optimize.measure.profile import Profile


@dataclass(frozen=True)
class Block:
    """A top-level module in two models.

    Attributes:
        name: e.g. `model.2`; empty for layers that belong to no block.
        flops: operations, 2 per multiply-add, before and after.
        milliseconds: in the same runtime, before and after; None for a model without a profile.
    """

    name: str
    flops: tuple[int, int]
    milliseconds: tuple[float | None, float | None]


def blocks(costs: tuple[Cost, Cost], profiles: tuple[Profile | None, Profile | None]) -> tuple[Block, ...]:
    """All blocks with operations or time, in the order of the network; layers that belong to no block come last."""
    flops = _flops(costs[0]), _flops(costs[1])
    times = _times(profiles[0]), _times(profiles[1])
    names = sorted({name for sums in (*flops, *times) if sums for name in sums}, key=place)
    rows = (Block(n, (flops[0][n], flops[1][n]), (_of(times[0], n), _of(times[1], n))) for n in names)
    return tuple(row for row in rows if any(row.flops) or any(row.milliseconds))


def _flops(cost: Cost) -> Counter[str]:
    sums: Counter[str] = Counter()
    for layer in cost.layers:
        sums[block(layer.name)] += layer.flops
    return sums


def _times(profile: Profile | None) -> dict[str, float] | None:
    if profile is None:
        return None
    sums: dict[str, float] = {}
    for layer in profile.layers:
        name = block(layer.name)
        sums[name] = sums.get(name, 0) + layer.milliseconds
    return sums


def _of(times: dict[str, float] | None, name: str) -> float | None:
    """The time of a block; 0 where the model has no block of that name."""
    return None if times is None else times.get(name, 0)


def block(layer: str) -> str:
    """The top-level module that a layer is part of: `model.2` for `model.2.cv1.conv`."""
    parts = layer.split(".")
    return ".".join(parts[:2]) if len(parts) > 1 and parts[1].isdigit() else ""


def place(name: str) -> tuple[bool, int]:
    """Sort key of a block: its place in the network."""
    return (not name, int(name.split(".")[1]) if name else 0)
