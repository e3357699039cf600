"""Validates a report that was read from results.json, so that it can be drawn and compared.

pydantic checks the types; this module checks ranges of numbers, known names, and that the parts fit together.
"""

import re
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from datetime import datetime
from typing import Any

from optimize.dataset import SPLITS
from optimize.device import device
from optimize.inside import is_relative
from optimize.measure.disagreement import WORST
from optimize.measure.roofline import Machine
from optimize.result import Report, Result
from optimize.runtime_info import MARKS
from optimize.texts import LONGEST
from optimize.work import LayerChange

ROWS = 300  # of a report, at most; each is compared with others
SEEN, LABELLED = 300, 3000  # of one image at most: detections that ultralytics keeps, and labels
LARGEST, LEAST = 1e18, 1e-9
UNCHECKED = ("config",)  # the user's settings
SIGNED = (  # may be negative
    *("corners", "temperature_c", "metrics", "classes", "folds", "class_folds", "score"),
    *("drop", "slower", "reached", "seed", "schedule", "history"),
)
SHARES = ("metrics", "classes", "folds", "class_folds", "score")  # accuracies, 0 to 1
POSITIVE = {  # times, divisors, and values on a logarithmic axis
    *("median_ms", "p90_ms", "p99_ms", "q1_ms", "q3_ms", "speedup", "speedup_low", "speedup_high"),
    *("imgsz", "stride", "threads", "width", "height", "peaks", "bandwidth", "cache_bandwidth"),
}


def wrong(report: Report) -> Iterator[str]:
    """Each fault of `report` as a sentence without its full stop; a report that this program wrote has none."""
    yield from _leaves(report, "")
    if not 0 < len(report.results) <= ROWS or len(report.measurements) > ROWS:
        yield f"it has {len(report.results)} results and {len(report.measurements)} measurements"
        return
    for i, row in enumerate(report.results):
        yield from (f"results.{i}: {what}" for what in _row(row, report))
    yield from _splits(report)
    if (report.noise is None) != (report.noise_spread is None):
        yield "noise and noise_spread: one of them is missing"
    if not _is_date(report.provenance.began):
        yield f"provenance.began: {report.provenance.began!r:.40} is no date"
    if report.machine:
        yield from _machine(report.machine)
    if report.device:
        yield from (f"device: it {what}" for what in device.wrong(report.device))
    yield from _images(report)
    artefacts = {row.artefact for row in report.results}
    for i, measurement in enumerate(report.measurements):
        if measurement.artefact not in artefacts:
            yield f"measurements.{i}: it is of no artefact of this run"


def _splits(report: Report) -> Iterator[str]:
    used = report.provenance.accuracy_on, report.provenance.chosen_on, report.provenance.whole
    named = {"left_out": [lost.split for lost in report.left_out], "provenance": [one.split for one in used if one]}
    for place, splits in named.items():
        yield from (f"{place}: there is no split {split!r:.40}" for split in splits if split not in SPLITS)


def _leaves(value: Any, place: str, name: str = "") -> Iterator[str]:
    """Faults of the numbers and texts in `value`, which the field `name` holds."""
    if is_dataclass(value):
        for field in fields(value):
            if field.name not in UNCHECKED:
                name = "" if isinstance(value, LayerChange) else field.name  # its width is 0 where the layer is gone
                yield from _leaves(getattr(value, field.name), f"{place}.{field.name}".lstrip("."), name)
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _leaves(key, f"{place} (a key)")
            yield from _leaves(item, f"{place}.{key:.40}", name)
    elif isinstance(value, list | tuple):
        for i, item in enumerate(value):
            yield from _leaves(item, f"{place}.{i}", name)
    elif isinstance(value, str) and len(value) > LONGEST:
        yield f"{place}: it has {len(value)} characters"
    elif isinstance(value, int | float) and not _is_in_range(value, name):
        yield f"{place}: that number is out of range"


def _is_in_range(value: float, name: str) -> bool:
    if not abs(value) <= LARGEST:  # false for NaN as well
        return False
    if name in SHARES and abs(value) > 1:
        return False
    return value >= LEAST if name in POSITIVE else value >= 0 or name in SIGNED


def _row(row: Result, report: Report) -> Iterator[str]:
    for part, name in (("runtime", row.runtime.name), ("precision", row.precision.name)):
        if not re.fullmatch(r"[\w.-]{1,100}", name) or not name.strip("."):  # both become parts of file names
            yield f"{part}.name is {name!r:.40}, which can't be part of a file's name"
        if name != getattr(row.variant, part):
            yield f"{part}.name is {name!r:.40}, and variant.{part} is {getattr(row.variant, part)!r:.40}"
    if row.runtime.mark not in MARKS:
        yield f"runtime.mark is {row.runtime.mark!r:.40}, not one of {', '.join(MARKS)}"
    if row.precision.fill > 1:
        yield f"precision.fill is {row.precision.fill}, not 0 to 1"
    metrics = list(row.accuracy.metrics)
    if len(metrics) < 2 or metrics != list(report.results[0].accuracy.metrics):
        yield "accuracy.metrics: they are fewer than two, or not those of the first row"
    if not row.flops:
        yield "it has no operations"
    for layer in row.profile.layers if row.profile else ():
        if 0 < layer.milliseconds < LEAST:
            yield f"profile: {layer.milliseconds} ms is out of range"


def _is_date(text: str) -> bool:
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return True


def _machine(machine: Machine) -> Iterator[str]:
    for runtime, peaks in machine.peaks.items():
        if not peaks or runtime not in machine.bandwidth or runtime not in machine.cache_bandwidth:
            yield f"machine: a peak or a bandwidth of {runtime:.40} is missing"


def _images(report: Report) -> Iterator[str]:
    """Faults of the compared images; all objects of one have the same number of corners, as comparing them requires."""
    images = report.disagreement.worst if report.disagreement else ()
    if len(images) > WORST:
        yield f"disagreement: it has {len(images)} images"
    for i, image in enumerate(images[:WORST]):
        place = f"disagreement.worst.{i}"
        if not is_relative(str(image.path)):
            yield f"{place}.path: it leads out of the run's folder"
        sides = image.truth, image.before, image.after
        corners = {len(box.corners) for side in sides for box in side}
        many = len(image.truth) > LABELLED or max(len(image.before), len(image.after)) > SEEN
        if len(corners) > 1 or corners & {1, 2} or many:
            yield f"{place}: its objects are too many, or differ in their number of corners"
