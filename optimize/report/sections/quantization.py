"""The section on quantization: the recipe of each quantized file, and the accuracy it lost."""

from optimize.report.sections.section import DASH, Section, Table
from optimize.result import Report, Result
from optimize.work import Calibration, Quantized

HEAD = ("variant", "runtime", "recipe", "for", "drop, points", "allowed", "layers back in float", "seconds")
TRIED = ("recipe", "drop, points", "faster than float32")
RETURNED = ("layer", "drop left, points", "time")
LEAD = "The drop is relative to the float32 file that the quantized file was made from, in the same runtime."


def section(report: Report) -> Section | None:
    """A row per quantized file, then the recipes tried and the layers back in float; None without such a file."""
    made = [(result, result.quantization) for result in report.results if result.quantization]
    if not made:
        return None
    files = Table(HEAD, tuple(_row(result, work) for result, work in made), words=HEAD[:4])
    more = [table for result, work in made for table in (*_candidates(result, work), *_float_layers(result, work))]
    seen = list(dict.fromkeys(_calibrated(work.calibration) for _, work in made if work.calibration))
    decided = dict.fromkeys(
        f"Drops are of the accuracies on {work.decided_on}, on which recipes and layers in float are chosen."
        for _, work in made
        if work.decided_on
    )
    return Section("quantization", "Quantization", LEAD, (files, *more), notes=(*decided, *seen))


def _row(result: Result, work: Quantized) -> tuple[str, ...]:
    return (
        result.variant.name,
        result.variant.runtime,
        work.recipe or DASH,
        work.cpu or DASH,
        f"{work.drop:.2f}",
        f"{work.max_drop:.2f}",
        "none needed" if work.float_layers is None else str(len(work.float_layers)),
        DASH if work.seconds is None else f"{work.seconds:.0f}",
    )


def _calibrated(seen: Calibration) -> str:
    counts = ", ".join(f"{name} {count}" for name, count in seen.images_by_class.items())
    return f"Calibrated with {seen.images} images of {seen.source}, seed {seen.seed}; images per class: {counts}."


def _candidates(result: Result, work: Quantized) -> list[Table]:
    rows = tuple(
        (one.recipe, f"{one.drop:.2f}", DASH if one.faster is None else f"{one.faster:.2f}x") for one in work.candidates
    )
    return [Table(TRIED, rows, TRIED[:1], f"{_name(result)}, recipes tried")] if rows else []


def _float_layers(result: Result, work: Quantized) -> list[Table]:
    rows = tuple((one.layer, f"{one.drop:.2f}", f"{one.slower:+.1%}") for one in work.float_layers or ())
    return [Table(RETURNED, rows, RETURNED[:1], f"{_name(result)}, layers back in float, in order")] if rows else []


def _name(result: Result) -> str:
    return f"{result.variant.name} on {result.variant.runtime}"
