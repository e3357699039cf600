"""Rivals: models that a user could deploy instead, the original at a smaller input or another checkpoint."""

import re
from collections.abc import Collection, Sequence
from dataclasses import replace
from itertools import count
from pathlib import Path

from optimize.input_size import square
from optimize.measure import cost
from optimize.measure.cost import Cost
from optimize.variant import Variant
from optimize.yolo.checkpoint import deployed, load, stride

TAKEN = ("original", "pruned", "qat")  # names of the run's own rows, besides those of a precision


def names(files: Sequence[tuple[Path, str]], precisions: Collection[str]) -> list[str]:
    """Names of the rows of checkpoints: the file's stem, numbered where another row has that name.

    Args:
        files: each checkpoint with the name of its architecture, used for files called best.pt or last.pt.
        precisions: names of the precisions that the run makes.
    """
    unique: list[str] = []
    for path, architecture in files:
        stem = architecture if path.stem in ("best", "last") else path.stem
        stem = re.sub(r"[^\w.-]", "-", stem)  # a `+` would look like a step
        free = stem not in (*TAKEN, *precisions, *unique) and not re.fullmatch(r"\d+px", stem)
        numbered = (f"{stem}-{i}" for i in count(2))
        unique.append(stem if free else next(name for name in numbered if name not in unique))
    return unique


def at_side(original: Variant, side: int) -> Variant:
    """`original` at a smaller square input."""
    name = f"{side}px"
    return replace(original, imgsz=square(side), tags=(name,)).after(name)


def smaller(original: Variant, flops: int) -> tuple[Variant, Cost] | None:
    """`original` at the smaller input size whose FLOPs are nearest to `flops`, with its cost.

    Sizes are multiples of the network's stride; None where the original's own size is the smallest.
    """
    network, nearest = deployed(load(original.path)), None
    step = stride(network)
    for side in range(original.imgsz.side - step, 0, -step):
        counted = cost.count(network, square(side))
        if nearest and abs(counted.flops - flops) >= abs(nearest[1].flops - flops):
            break  # FLOPs fall with the size, so all smaller sizes are further off
        nearest = at_side(original, side), counted
    return nearest
