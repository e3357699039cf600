"""Rivals: models that a user could deploy instead, the original at a smaller input or another checkpoint."""

import re
from collections.abc import Collection, Sequence
from dataclasses import replace
from itertools import count
from math import ceil
from pathlib import Path

from optimize import input_size
from optimize.input_size import Size
from optimize.measure import operations
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
        free = stem not in (*TAKEN, *precisions, *unique) and not re.fullmatch(r"\d+(x\d+)?px", stem)
        numbered = (f"{stem}-{i}" for i in count(2))
        unique.append(stem if free else next(name for name in numbered if name not in unique))
    return unique


def at_size(original: Variant, size: Size) -> Variant:
    """`original` at another input."""
    name = f"{size}px"
    return replace(original, imgsz=size, tags=(name,)).after(name)


def smaller(original: Variant, flops: int) -> tuple[Variant, Cost] | None:
    """`original` at the smaller input of about its shape whose FLOPs are nearest to `flops`, with its cost.

    Sizes are multiples of the network's stride; None where the original's own size is the smallest.
    """
    network, nearest = deployed(load(original.path)), None
    for size in input_size.smaller(original.imgsz, stride(network)):
        counted = operations.count(network, size)
        if nearest and abs(counted.flops - flops) >= abs(nearest[1].flops - flops):
            break  # FLOPs fall with the size, so all smaller sizes are further off
        nearest = at_size(original, size), counted
    return nearest


def rectangle(original: Variant, shape: tuple[int, int] | None) -> Variant | None:
    """`original` at the rectangle that images of `shape` fill, where its input is a square that they don't fill.

    The longer side stays, so images are scaled as for the square, and only rows or columns of padding are left out.

    Args:
        original: the checkpoint.
        shape: height and width in pixels of every image; None where they differ.
    """
    if shape is None or original.imgsz.height != original.imgsz.width:
        return None
    side, step = original.imgsz.longer, stride(load(original.path))
    height, width = (ceil(side * pixels / max(shape) / step) * step for pixels in shape)
    return at_size(original, Size(height, width)) if min(height, width) < side else None
