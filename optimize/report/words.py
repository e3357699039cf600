"""The report's cells and sentences; the terminal and report.md print the same ones."""

from optimize.measure.latency import ALIKE
from optimize.result import Report, Result

DASH = "-"
# A sound int8 executes 96 to 100 % here, with the decode and perhaps the last convolutions in float. A tenth in float,
# which takes about twice as long as in int8, costs a tenth of the speed: as much as a benchmark's noise can hide.
EXECUTED = 0.9
FITTED = {  # how ultralytics' validator makes a picture square, where it is not by a letterbox
    "classify": "shorter side resized and the middle cut out",
    "rtdetr": "pictures stretched to a square",
}


def columns(report: Report) -> tuple[str, ...]:
    """The table's head: the task's two first metrics stand in it."""
    main, second, *_ = report.results[0].accuracy.metrics
    return (
        *("variant", "runtime", "arithmetic", "GFLOPs", "FLOPs", "in int8", "params M", "MB"),
        *(main, "points", second, "median ms", "p95 ms", "faster"),
    )


def rows(report: Report) -> list[tuple[str, ...]]:
    """One tuple per result, a cell per column; changes are against the original checkpoint in torch."""
    return [_row(result, report.results[0]) for result in report.results]


def _row(result: Result, original: Result) -> tuple[str, ...]:
    time, itself = result.latency, result is original
    main, second, *_ = result.accuracy.metrics.values()
    return (
        result.variant.name,
        result.variant.runtime,
        time.arithmetic if time else DASH,
        f"{result.flops / 1e9:.3f}",
        DASH if itself else _change(100 * (result.flops / original.flops - 1), "%"),
        _in_int8(result),
        f"{result.cost.parameters / 1e6:.2f}",
        f"{result.size_bytes / 1e6:.2f}",
        f"{main:.4f}",
        DASH if itself else _change(100 * (main - original.accuracy.score)),
        f"{second:.4f}",
        f"{time.median_ms:.2f}" if time else DASH,
        f"{time.p95_ms:.2f}" if time else DASH,
        f"{time.speedup:.2f}x [{time.speedup_low:.2f}-{time.speedup_high:.2f}]" if time else DASH,
    )


def _in_int8(result: Result) -> str:
    """A dash where nothing was to run in int8, or where the runtime doesn't tell."""
    none = result.int8_share is None or (result.int8_share == 0 and result.variant.precision != "int8")
    return DASH if none else f"{result.int8_share:.0%}"


def _change(value: float, unit: str = "") -> str:
    return f"{value:+.1f}{unit}" if round(value, 1) else f"0.0{unit}"


def headline(report: Report) -> str:
    """The fastest variant in one sentence."""
    original = report.results[0]
    timed = [result for result in report.results if result.latency and result.variant.name != "original"]
    if not timed:
        return "Nothing was changed: the rows show the original in each runtime."
    best = min(timed, key=lambda result: result.latency.median_ms)
    if best.latency.speedup < 1 + nothing(report):
        return "No variant is faster than the original in its runtime by more than the noise of this measurement."
    same = next(r for r in report.results if r.variant.runtime == best.variant.runtime and r.variant.name == "original")
    fewer = _change(100 * (best.flops / original.flops - 1), "%")
    points = _change(100 * (best.accuracy.score - original.accuracy.score))
    return (
        f"Fastest: {best.variant.name} on {best.variant.runtime}, {best.latency.speedup:.2f}x as fast as the original "
        f"there in {same.latency.arithmetic}: {fewer} FLOPs, {points} points of {best.accuracy.metric}, "
        f"{best.size_bytes / 1e6:.2f} MB instead of {same.size_bytes / 1e6:.2f} MB."
    )


def nothing(report: Report) -> float:
    """The share below which a difference of times means nothing here."""
    return max(ALIKE, 2 * report.noise, report.noise_spread)


def notes(report: Report) -> list[str]:
    """What a reader must know to believe the table, one sentence each."""
    accuracy, made = report.results[0].accuracy, report.provenance
    fitted = FITTED.get(made.task, "square letterbox (rect=False)")
    return [
        "FLOPs: 2 per multiply-add, one image, on the fused graph of the deployed head, and counted again on every "
        "exported graph. Int8 lowers no operation count, it moves operations from float to integer; `in int8` is the "
        "share that the compiled model executes there, read back from the runtime.",
        f"Accuracy: ultralytics' validator on {accuracy.images} pictures, {fitted}, batch 1, the same for every row; "
        f"1 point is 0.01 {accuracy.metric}; points and FLOPs are changes against the original in torch.",
        f"Latency: one call of the graph, without preparing the picture and without NMS, {made.threads} threads, "
        f"batch 1, {made.imgsz} px, all rows interleaved in one process; `arithmetic` is read back from the runtime; "
        "`faster` is the median [quartiles] of the paired ratios to the original in fp32 in the same runtime.",
        f"Noise: one artefact timed against itself (A/A) differed by {report.noise:.1%}, quartiles "
        f"+-{report.noise_spread:.1%}; call any difference below {nothing(report):.0%} nothing.",
        *mostly_float(report),
        "Energy: not measured.",
        *made.remarks,
    ]


def mostly_float(report: Report) -> list[str]:
    """A sentence for each int8 variant that executes less than `EXECUTED` of its operations in int8."""
    return [
        f"{r.variant.name} on {r.variant.runtime} executes only {r.int8_share:.1%} of its operations in int8, less "
        f"than {EXECUTED:.0%}, while its file asks for {r.int_ops / r.flops:.1%}: what is computed in float, and the "
        "conversions in between, cost speed and, far below that, make int8 slower than fp32."
        for r in report.results
        if r.variant.precision == "int8" and r.int8_share is not None and r.int8_share < EXECUTED
    ]
