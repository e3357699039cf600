"""Groups channels into units, which are removed together, and units into blocks, which are scored together."""

from collections import defaultdict
from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from optimize.pruner.trace import Trace


@dataclass(frozen=True)
class Part:
    """Positions of a block's units in one use.

    Attributes:
        use: index into `Trace.uses`.
        positions: int array, shape (channels per unit, units): indices into the layer's channels.
    """

    use: int
    positions: np.ndarray


@dataclass(frozen=True)
class Block:
    """Units (sets of channels that can only be removed together) in the same layers, so their scores are comparable.

    Attributes:
        units: number of units.
        parts: one for each use that holds channels of these units.
        frozen: why all units must be kept, or "".
    """

    units: int
    parts: tuple[Part, ...]
    frozen: str = ""


def blocks(trace: Trace) -> list[Block]:
    """Group all channels of a trace: each lies in exactly one block, frozen or not."""
    unit = _units(trace)
    reasons: dict[int, str] = {}
    for ids, reason in trace.frozen:
        for label in unit[ids].tolist():
            reasons.setdefault(label, reason)
    places: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for index, use in enumerate(trace.uses):
        for position, label in enumerate(unit[use.ids].tolist()):
            places[label].append((index, position))
    alike: dict[tuple[tuple[int, ...], str], list[int]] = defaultdict(list)
    for label, where in places.items():
        alike[(tuple(use for use, _ in where), reasons.get(label, ""))].append(label)
    return [_block(uses, [places[label] for label in labels], reason) for (uses, reason), labels in alike.items()]


def _units(trace: Trace) -> np.ndarray:
    """The number of the unit of each channel: the connected components of the ties."""
    first = np.concatenate([a for a, _ in trace.ties] or [np.empty(0, int)])
    second = np.concatenate([b for _, b in trace.ties] or [np.empty(0, int)])
    edges = coo_array((np.ones(len(first), bool), (first, second)), shape=(trace.count, trace.count))
    return connected_components(edges, directed=False)[1]


def _block(uses: tuple[int, ...], places: list[list[tuple[int, int]]], reason: str) -> Block:
    table = np.array([[position for _, position in where] for where in places]).T
    owners = np.array(uses)
    parts = tuple(Part(use, table[owners == use]) for use in dict.fromkeys(uses))
    return Block(len(places), parts, reason)
