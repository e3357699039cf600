"""What a user could take instead of an optimized model: the original at a smaller input, or another checkpoint."""

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

TAKEN = ("original", "pruned", "qat")  # what the rows of our own work are called, beside those of a precision


def names(files: Sequence[tuple[Path, str]], precisions: Collection[str]) -> list[str]:
    """What the rows of checkpoints are called: the file's stem, numbered where it would be taken for another row's.

    Args:
        files: each checkpoint with the name of its architecture, which stands in for what every training calls its own.
        precisions: names of those that the run makes.
    """
    found: list[str] = []
    for path, architecture in files:
        stem = architecture if path.stem in ("best", "last") else path.stem
        stem = re.sub(r"[^\w.-]", "-", stem)  # a `+` would look like a step
        free = stem not in (*TAKEN, *precisions, *found) and not re.fullmatch(r"\d+px", stem)
        numbered = (f"{stem}-{i}" for i in count(2))
        found.append(stem if free else next(name for name in numbered if name not in found))
    return found


def smaller(original: Variant, flops: int) -> tuple[Variant, Cost] | None:
    """`original` at the smaller input whose FLOPs are nearest to `flops`, and what it costs there.

    Sizes are multiples of the network's stride; None where the original's own size is the smallest.
    """
    network, nearest = deployed(load(original.path)), None
    step = stride(network)
    for side in range(original.imgsz.side - step, 0, -step):
        imgsz = square(side)
        found = cost.count(network, imgsz)
        if nearest and abs(found.flops - flops) >= abs(nearest[1].flops - flops):
            break  # the cost falls with the size, so all further ones lie further off
        name = f"{side}px"
        nearest = replace(original, imgsz=imgsz, tags=(name,)).after(name), found
    return nearest
