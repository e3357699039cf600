"""`batches=[1,4,8]`: files for several images in a call, and the images per second of every exported row."""

import logging
from dataclasses import replace
from pathlib import Path

import numpy as np

from optimize.errors import MeasurementError
from optimize.failures import record_failure
from optimize.judge import Judge
from optimize.measure.throughput import Batching, Load
from optimize.result import Report, Result
from optimize.store.manifest import placing

log = logging.getLogger(__name__)

LEAST = 30.0  # dB of signal to error; where images or numbers are mixed up there is no signal


def with_throughput(
    report: Report, judge: Judge, folder: Path, batches: tuple[int, ...], streams: tuple[int, ...]
) -> Report:
    """`report` with images per second of its exported rows, rivals excepted; the files lie beside those of the rows.

    Each row gets a file for each batch above 1, and one for any batch.
    """
    rows, failures = list(report.results), list(report.failures)
    for i, row in enumerate(rows):
        batching = judge.runtime(row.variant).batching
        if batching is None or row.rival:
            continue
        with record_failure(failures, f"{row.variant.name}, batches", row.variant.runtime):
            files = {batch: _file(row, batching, judge, folder, batch) for batch in (*batches, None)}
            loads = [
                Load(batching.open_streams, files[batch], row.variant.precision, row.variant.imgsz, batch, count)
                for batch in batches
                for count in streams
            ]
            log.info("measuring the throughput of %s on %s", row.variant.name, row.variant.runtime)
            rows[i] = replace(row, throughput=tuple(judge.throughput(loads)))
    return replace(report, results=tuple(rows), failures=tuple(failures))


def _file(row: Result, batching: Batching, judge: Judge, folder: Path, batch: int | None) -> Path:
    """The file of a row for calls of `batch` images, None for any number: its own for 1, else a new one."""
    variant = row.variant
    if batch == 1:
        return variant.path
    name = f"{variant.name}_{'dynamic' if batch is None else f'batch{batch}'}{variant.ending}"
    place = Path("artefacts", variant.runtime, name)
    with placing(folder) as partial:
        (partial / place).parent.mkdir(parents=True)
        batching.write(variant.path, partial / place, batch)
        _check(row, batching, judge, partial / place, batch or 2)
    return folder / place


def _check(row: Result, batching: Batching, judge: Judge, path: Path, batch: int) -> None:
    """Check that a file gives for each of several images what the row's own file gives for it alone.

    Kernels may sum in another order for another batch, and int8 rounds some of these sums to the next step.

    Raises:
        MeasurementError: the outputs differ by more than that.
    """
    size = row.variant.imgsz
    images = np.random.default_rng(0).random((batch, 3, size.height, size.width), dtype=np.float32)
    single, whole = (
        batching.open_model(file, row.variant.precision, judge.threads)[0] for file in (row.variant.path, path)
    )
    expected, together = np.concatenate([single(image[None])[0] for image in images]), whole(images)[0]
    if together.shape != expected.shape or _decibels(together, expected) < LEAST:
        raise MeasurementError(
            f"{path.name} gives other outputs for {batch} images in a call than {row.variant.path.name} for each "
            "alone; leave batches out for this model."
        )


def _decibels(found: np.ndarray, expected: np.ndarray) -> float:
    """Signal to error in dB: 10 log10 of the variance of what is expected over the mean squared error."""
    error = float(np.mean((found - expected) ** 2))
    return float("inf") if error == 0 else float(10 * np.log10(np.var(expected) / error))
