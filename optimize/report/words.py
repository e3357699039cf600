"""The report's cells and sentences; the terminal and report.md print the same ones."""

from optimize.result import Report, Result
from optimize.verdict.plain import change, nothing, original, points
from optimize.verdict.verdict import decide
from optimize.work import Pruned
from optimize.yolo.tasks import BY_NAME

DASH = "-"


def columns(report: Report) -> tuple[str, ...]:
    """The table's head: the task's two first metrics stand in it."""
    main, second, *_ = report.results[0].accuracy.metrics
    return (
        *("variant", "runtime", "arithmetic", "GFLOPs", "FLOPs", "in int8", "params M", "MB"),
        *(main, "points", second, "median ms", "p95 ms", "faster"),
    )


def rows(report: Report) -> list[tuple[str, ...]]:
    """One tuple per row, a cell per column; changes are against the original checkpoint in torch."""
    return [cells for _, cells in _table(report)]


def marked(report: Report) -> list[tuple[str, ...]]:
    """`rows` in which the name says what the row is, for where there is nothing but text."""
    return [(f"{name} ({kind})" if kind else name, *cells) for kind, (name, *cells) in _table(report)]


def kinds(report: Report) -> list[str]:
    """What each of `rows` is: `best` by the verdict, `rival`, both, `failed`, or nothing."""
    return [kind for kind, _ in _table(report)]


def _table(report: Report) -> list[tuple[str, tuple[str, ...]]]:
    """Runtime by runtime; below the results what failed, if it has no row among them."""
    found, width, best = [], len(columns(report)), None if report.unfinished else decide(report).best
    there = {(r.variant.name, r.variant.runtime) for r in report.results}
    runtimes = dict.fromkeys([*(r.variant.runtime for r in report.results), *(f.runtime for f in report.failures)])
    for runtime in runtimes:
        results = (r for r in report.results if r.variant.runtime == runtime)
        found += [(_kind(r, best), cells(r, report)) for r in results]
        failed = dict.fromkeys((f.name, f.runtime) for f in report.failures if f.runtime == runtime)
        found += [("failed", (*row, *(DASH,) * (width - 2))) for row in failed if row not in there]
    return found


def _kind(result: Result, best: Result | None) -> str:
    return " ".join(word for word, holds in (("best", result is best), ("rival", result.rival)) if holds)


def cells(result: Result, report: Report) -> tuple[str, ...]:
    """One row of the table."""
    time, first = result.latency, report.results[0]
    itself = result is first
    main, second, *_ = result.accuracy.metrics.values()
    return (
        result.variant.name,
        result.variant.runtime,
        time.arithmetic if time else DASH,
        f"{result.flops / 1e9:.3f}",
        DASH if itself else change(100 * (result.flops / first.flops - 1), "%"),
        _in_int8(result),
        f"{result.cost.parameters / 1e6:.2f}",
        f"{result.size_bytes / 1e6:.2f}",
        f"{main:.4f}",
        DASH if itself else change(points(result, report)),
        f"{second:.4f}",
        f"{time.median_ms:.2f}" if time else DASH,
        f"{time.p95_ms:.2f}" if time else DASH,
        _faster(result, report),
    )


def _faster(result: Result, report: Report) -> str:
    """With quartiles; a dash where it, or the original there, was not timed."""
    time = result.latency
    if time is None or original(report, result.variant.runtime) is None:
        return DASH
    return f"{time.speedup:.2f}x [{time.speedup_low:.2f}-{time.speedup_high:.2f}]"


def _in_int8(result: Result) -> str:
    """A dash where nothing was to run in int8, or where the runtime doesn't tell."""
    none = result.int8_share is None or (result.int8_share == 0 and not result.precision.integer)
    return DASH if none else f"{result.int8_share:.0%}"


def notes(report: Report) -> list[str]:
    """What a reader must know to believe the table, one sentence each."""
    accuracy, made = report.results[0].accuracy, report.provenance
    task = BY_NAME.get(made.task)  # None in a report from a copy of the program that has more tasks
    fitted = f"{task.fitted}, " if task else ""
    return [
        "FLOPs: 2 per multiply-add, one image, on the fused graph of the deployed head, and counted again on every "
        "exported graph. Int8 lowers no operation count, it moves operations from float to integer; `in int8` is the "
        "share that the compiled model executes there, read back from the runtime.",
        f"Accuracy: ultralytics' validator on {accuracy.images} images, {fitted}batch 1, the same for every row; "
        f"1 point is 0.01 {accuracy.metric}; points and FLOPs are changes against the original in torch.",
        f"Latency: one call of the graph, without preparing the image and without NMS, {made.threads} threads, "
        f"batch 1, {made.imgsz} px (or what the name says), all rows interleaved in one process; `arithmetic` is read "
        "back from the runtime; `faster` is the median [quartiles] of the paired ratios to the original in fp32 in the "
        "same runtime.",
        *(left_out.sentence for left_out in report.left_out),
        _noise(report),
        "Energy: not measured.",
        *_rivals(report),
        *_pruned_nothing(report),
        *made.remarks,
    ]


def _pruned_nothing(report: Report) -> list[str]:
    return [
        f"Pruning removed nothing: for prune={stage.asked:g} no layer is narrowed in steps of {stage.round_to}; "
        "ask for more, or lower pruner.round_to."
        for stage in report.stages
        if isinstance(stage, Pruned) and all(layer.width[0] == layer.width[1] for layer in stage.layers)
    ]


def _noise(report: Report) -> str:
    if report.noise is None or report.noise_spread is None:
        return "Noise: nothing was timed."
    return (
        f"Noise: one artefact timed against itself (A/A) differed by {report.noise:.1%}, quartiles "
        f"+-{report.noise_spread:.1%}; call any difference below {nothing(report):.0%} nothing."
    )


def _rivals(report: Report) -> list[str]:
    made, rivals = report.provenance, [r.variant for r in report.results if r.rival and r.variant.runtime == "torch"]
    said = [
        f"{rival.name} is {rival.path if rival.imgsz == made.imgsz else 'the original'} at {rival.imgsz} px"
        for rival in rivals
    ]
    return [f"Rivals, what you could take instead: {', '.join(said)}."] if said else []
