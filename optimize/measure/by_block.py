"""What each part of the network cost before and after, in operations and in time: the two seldom shrink alike."""

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
        name: e.g. `model.2`; empty for what belongs to none.
        flops: operations, 2 per multiply-add, before and after.
        milliseconds: in the same runtime, before and after; None for a model without a profile.
    """

    name: str
    flops: tuple[int, int]
    milliseconds: tuple[float | None, float | None]


def blocks(costs: tuple[Cost, Cost], profiles: tuple[Profile | None, Profile | None]) -> tuple[Block, ...]:
    """All blocks that count something, in the order of the network, what belongs to none last."""
    flops, times = (Counter(), Counter()), tuple(Counter() if profile else None for profile in profiles)
    for i in range(2):
        for layer in costs[i].layers:
            flops[i][block(layer.name)] += layer.flops
        for layer in profiles[i].layers if profiles[i] else ():
            times[i][block(layer.name)] += layer.milliseconds
    names = sorted({name for found in (*flops, *times) if found for name in found}, key=place)
    rows = (
        Block(n, (flops[0][n], flops[1][n]), tuple(None if time is None else time[n] for time in times)) for n in names
    )
    return tuple(row for row in rows if any(row.flops) or any(row.milliseconds))


def block(layer: str) -> str:
    """The top-level module that a layer is part of: `model.2` for `model.2.cv1.conv`."""
    parts = layer.split(".")
    return ".".join(parts[:2]) if len(parts) > 1 and parts[1].isdigit() else ""


def place(name: str) -> tuple[bool, int]:
    """Where a block stands among the others, to sort them by."""
    return (not name, int(name.split(".")[1]) if name else 0)
