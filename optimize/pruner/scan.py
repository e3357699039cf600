"""Measures once what the choice of layers needs, for every share, rounding and target that will be asked for."""

import time
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace
from pathlib import Path
from shutil import copyfile
from typing import Any

import numpy as np
import torch
from pydantic import ConfigDict, TypeAdapter, ValidationError
from torch import nn

from optimize.dataset import Dataset
from optimize.errors import MeasurementError
from optimize.host.files import write_text
from optimize.identity import OUTSIDE
from optimize.input_size import Size
from optimize.inside import content
from optimize.progress import bar
from optimize.pruner.blocks import blocks
from optimize.pruner.score import Criterion, rank
from optimize.pruner.sensitivity import (
    Finite,
    Meter,
    Sensitivities,
    Sensitivity,
    Trial,
    bypassed,
    check_scores,
    measuring,
    narrowed,
)
from optimize.pruner.tracker import trace
from optimize.store.apply import write_report
from optimize.variant import Variant
from optimize.work import Scanned
from optimize.yolo import coupling
from optimize.yolo.checkpoint import load
from optimize.yolo.depth import removable
from optimize.yolo.device import first_device
from optimize.yolo.loss import batches, losing

NAME, BEGUN = "scan.json", "begun.json"
MOST = 2**28  # bytes of either
SHARES = (0.25, 0.75)  # of a block's units, which its trials keep; in between, the rise is interpolated
LEAST = 0.01  # of the loss: a smaller rise needs no trial of a wider block
BATCH, PIXELS = 16, 8 * 640 * 640  # of a batch at most; what its outputs take is kept in memory


@dataclass(frozen=True)
class Begun:
    """What an interrupted scan leaves behind.

    Attributes:
        scores: as in `Sensitivity`, of every block.
        rows: the rises in the trials of each block, summed over a batch: all blocks of the first batch, of the next ...
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    scores: tuple[tuple[Finite, ...] | None, ...]
    rows: tuple[tuple[Finite, ...], ...] = ()


SENSITIVITIES, BEGINNING = TypeAdapter(Sensitivities), TypeAdapter(Begun)


@dataclass(frozen=True)
class Scan:
    """The stage that measures a checkpoint for `Prune`: it leaves a copy with the measurements beside it.

    They do not depend on how much will be removed, nor on how widths are rounded.

    Attributes:
        criterion: scores how much channels matter.
        data: on whose labelled training images the loss is measured.
        images: how many.
        device: where it runs, as in ultralytics; None for the first GPU, else the CPU.
    """

    criterion: Criterion
    data: Dataset
    images: int = 16
    seed: int = 0
    device: str | None = field(default=None, metadata=OUTSIDE)

    def __call__(self, variant: Variant, folder: Path) -> Variant:
        start, path, begun = time.perf_counter(), folder / "scanned.pt", folder / BEGUN
        model = load(variant.path).to(first_device(self.device), memory_format=torch.channels_last)  # the faster layout
        measured = scan(model, variant.imgsz, self, _begun(begun), lambda now: _write(begun, BEGINNING, now))
        _write(folder / NAME, SENSITIVITIES, measured)
        copyfile(variant.path, path)
        begun.unlink()
        trials = sum(len(block.kept) for block in measured.blocks) + len(measured.branches)
        images = min(self.images, len(self.data.train))
        write_report(Scanned(images, trials, round(time.perf_counter() - start, 1)), folder)
        return replace(variant, path=path)


def read(variant: Variant) -> Sensitivities:
    """What `Scan` measured of the checkpoint that it left.

    Raises:
        MeasurementError: it is missing or invalid.
    """
    path = variant.path.parent / NAME
    try:
        return SENSITIVITIES.validate_json(content(path, MOST) or b"")
    except ValidationError as error:
        raise MeasurementError(f"{path} is no scan of layers; delete its folder, so that it is made again.") from error


def scan(
    model: nn.Module,
    imgsz: Size,
    settings: Scan,
    begun: Begun | None = None,
    keep: Callable[[Begun], None] = lambda now: None,
) -> Sensitivities:
    """Measure every block and every branch of `model` for an input of `imgsz`; `model` is left as it was.

    Args:
        begun: what an interrupted scan of the same model handed to `keep` last.
        keep: gets what was measured, after the scores and after every block.

    Raises:
        InputError: the criterion's scores are not finite.
        MeasurementError: the loss is not finite, or `begun` is of another model.
    """
    traced = trace(coupling.traceable(model), imgsz, coupling.RULES, coupling.HALVING, coupling.predictions)
    coupled, device = blocks(traced), next(model.parameters()).device
    now = begun or Begun(tuple(_numbers(one) for one in rank(settings.criterion, model, imgsz, traced, coupled)))
    check_scores(now.scores, coupled)
    keep(now)
    kept = [_kept(scores) for scores in now.scores]
    trials = [
        [narrowed(traced, block, np.argsort(scores or (), kind="stable")[: block.units - count]) for count in counts]
        for block, scores, counts in zip(coupled, now.scores, kept, strict=True)
    ]
    branches = removable(model)
    trials += [[bypassed(branch)] for branch in branches]
    size = max(2, min(BATCH, PIXELS // (imgsz.height * imgsz.width)))
    labelled = batches(settings.data, settings.images, size, settings.seed, imgsz, device)
    copy = deepcopy(model).requires_grad_(False)
    with losing(copy, settings.data), bar("sensitivity of layers", len(labelled) * len(trials)) as tick:
        measure = tick(_row)
        for first, batch in zip(range(0, len(labelled) * len(trials), len(trials)), labelled, strict=True):
            with measuring(copy, batch, settings.seed) as meter:
                for block in range(len(now.rows) - first, len(trials)):
                    row = measure(meter, trials[block], now.rows[block] if first else None)
                    now = replace(now, rows=(*now.rows, row))
                    keep(now)
    images = sum(len(batch["img"]) for batch in labelled)
    totals = [np.sum(now.rows[block :: len(trials)], axis=0) / images for block in range(len(trials))]
    of_blocks, of_branches = totals[: len(coupled)], totals[len(coupled) :]
    return Sensitivities(
        tuple(
            Sensitivity(scores, counts[: len(total)], tuple(total.tolist()))
            for scores, counts, total in zip(now.scores, kept, of_blocks, strict=True)
        ),
        {branch.name: float(total[0]) for branch, total in zip(branches, of_branches, strict=True)},
    )


def _row(meter: Meter, trials: Sequence[Trial], first: tuple[float, ...] | None) -> tuple[float, ...]:
    """The rises in the trials of a block, the narrowest first.

    In the first batch a trial that hardly raises the loss is the last one, since wider ones would raise it even less;
    other batches repeat the trials of the `first`.
    """
    rises: list[float] = []
    for trial in trials[: len(first)] if first is not None else trials:
        rises.append(meter.rise(trial))
        if first is None and rises[-1] < LEAST * meter.whole:
            break
    return tuple(rises)


def _kept(scores: tuple[float, ...] | None) -> tuple[int, ...]:
    """How many units the trials of a block keep, ascending: each fewer than all, and at least one."""
    most = len(scores or (0,)) - 1
    return tuple(sorted({min(max(round(share * (most + 1)), 1), most) for share in SHARES})) if most else ()


def _numbers(scores: np.ndarray | None) -> tuple[float, ...] | None:
    return None if scores is None else tuple(scores.tolist())


def _begun(path: Path) -> Begun | None:
    """What an interrupted scan left in `path`; None where there is none, or none that is whole."""
    try:
        return BEGINNING.validate_json(content(path, MOST) or b"")
    except ValidationError:
        return None


def _write(path: Path, kind: TypeAdapter[Any], value: object) -> None:
    write_text(path, kind.dump_json(value).decode())
