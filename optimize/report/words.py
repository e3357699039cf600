"""Cells and sentences of the report, which the page, the terminal and report.md share."""

from optimize.measure.accuracy import ENOUGH, Accuracy
from optimize.report.sections import frames
from optimize.report.sections.section import DASH
from optimize.result import Report, Result
from optimize.verdict.optimism import of_report
from optimize.verdict.plain import called, change, nothing, original, points
from optimize.verdict.verdict import decide
from optimize.work import Pruned
from optimize.yolo.tasks import BY_NAME

FRAME = "frame ms"  # a column of reports that have whole frames


def columns(report: Report) -> tuple[str, ...]:
    """The table's head, which names the first two metrics of the task."""
    main, second, *_ = report.results[0].accuracy.metrics
    return (
        *("variant", "runtime", "arithmetic", "GFLOPs", "FLOPs", "in int8", "params M", "MB"),
        *(main, "points", second, "median ms", "p90 ms", "p99 ms"),
        *([FRAME] if any(row.frame for row in report.results) else []),
        "faster",
    )


def rows(report: Report) -> list[tuple[str, ...]]:
    """The cells of each row; changes are relative to the original checkpoint in torch."""
    return [cells for _, cells in _table(report)]


def marked(report: Report) -> list[tuple[str, ...]]:
    """`rows` whose first cell also names the kind of the row, for output in plain text."""
    return [(f"{name} ({kind})" if kind else name, *cells) for kind, (name, *cells) in _table(report)]


def kinds(report: Report) -> list[str]:
    """The kind of each of `rows`: `best` by the verdict, `rival`, both, `failed`, or empty."""
    return [kind for kind, _ in _table(report)]


def _table(report: Report) -> list[tuple[str, tuple[str, ...]]]:
    """Kind and cells of each row, runtime by runtime; failures that have no row come last in their runtime."""
    table, width, best = [], len(columns(report)), None if report.unfinished else decide(report.concluded).best
    there = {(r.variant.name, r.variant.runtime) for r in report.results}
    runtimes = dict.fromkeys([*(r.variant.runtime for r in report.results), *(f.runtime for f in report.failures)])
    for runtime in runtimes:
        results = (r for r in report.results if r.variant.runtime == runtime)
        table += [(_kind(r, best), cells(r, report)) for r in results]
        failed = dict.fromkeys((f.name, f.runtime) for f in report.failures if f.runtime == runtime)
        table += [("failed", (*row, *(DASH,) * (width - 2))) for row in failed if row not in there]
    return table


def _kind(result: Result, best: Result | None) -> str:
    is_best = best is not None and result.variant == best.variant
    return " ".join(word for word, holds in (("best", is_best), ("rival", result.rival)) if holds)


def cells(result: Result, report: Report) -> tuple[str, ...]:
    """The cells of one row of the table."""
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
        _milliseconds(time.median_ms if time else None),
        *(_milliseconds(tail) for tail in ((time.p90_ms, time.p99_ms) if time else (None, None))),
        *([_milliseconds(result.frame.total.median_ms if result.frame else None)] if FRAME in columns(report) else []),
        _faster(result, report),
    )


def _milliseconds(value: float | None) -> str:
    return DASH if value is None else f"{value:.2f}"


def _faster(result: Result, report: Report) -> str:
    """The speed-up with quartiles; a dash where the row or the original in its runtime was not timed."""
    time = result.latency
    if time is None or original(report, result.variant.runtime) is None:
        return DASH
    return f"{time.speedup:.2f}x [{time.speedup_low:.2f}-{time.speedup_high:.2f}]"


def _in_int8(result: Result) -> str:
    """The share executed in int8; a dash for other precisions, and where the runtime does not report it."""
    none = result.int8_share is None or (result.int8_share == 0 and not result.precision.integer)
    return DASH if none else f"{result.int8_share:.0%}"


def notes(report: Report) -> list[str]:
    """How the figures of the table were measured, and what limits them; whole sentences."""
    optimism = of_report(report)
    return [*method(report), *([optimism.sentence] if optimism else [])]


def method(report: Report) -> list[str]:
    """`notes` but for what the verdict's choice is worth, which in a sweep is made among the rows of all jobs."""
    accuracy, source = report.results[0].accuracy, report.provenance
    task = BY_NAME.get(source.task)  # None in a report from a copy of the program that has more tasks
    fitted = f"{task.fitted}, " if task else ""
    return [
        "FLOPs: 2 per multiply-add, one image, on the fused graph of the deployed head, and counted again on every "
        "exported graph. Int8 does not lower the number of operations, it moves them from float to integer; `in int8` "
        "is the share that the compiled model executes in int8, read back from the runtime.",
        f"Accuracy: ultralytics' validator on {_images(report)}, {fitted}batch 1, the same for every row"
        f"{_metric(accuracy)}; "
        f"`points` are percentage points, 1 point is 0.01 {accuracy.metric}; `points` and `FLOPs` are changes relative "
        "to the original in torch.",
        f"Latency: one call of the graph, without preprocessing and NMS, {source.threads} threads, batch 1, "
        f"{source.imgsz} px unless the variant's name gives another size, {_clock(report)}; "
        "`arithmetic` is read back from the runtime; `faster` is the median [quartiles] of the paired ratios to the "
        "original in fp32 in the same runtime.",
        *frames.sentences(report),
        *(left_out.sentence for left_out in report.left_out),
        _noise(report),
        *_relative(report),
        "Energy: not measured.",
        *_classes_judged(report),
        *_rivals(report),
        *_pruned_nothing(report),
        *source.remarks,
    ]


def host_state(report: Report) -> str:
    """The state of the host during the timing, e.g. `governor performance, turbo on`; and what it doesn't tell."""
    if report.provenance.timing is None:
        return ""
    before, after = report.provenance.timing
    values = {
        "governor": _range(before.governor, after.governor),
        "turbo": _range(*(_on(state.turbo) for state in (before, after))),
        "SMT": _range(*(_on(state.smt) for state in (before, after))),
        "load": _range(*(_number(state.load, ".2f") for state in (before, after))),
        "degrees C": _range(*(_number(state.temperature_c, ".0f") for state in (before, after))),
        "CPU quota": f"{after.quota:.3g} cores" if after.quota is not None else "none",
    }
    told = ", ".join(f"{name} {value}" for name, value in values.items() if value is not None)
    untold = ", ".join(name for name, value in values.items() if value is None)
    return f"{told}; the system does not tell: {untold}" if untold else told


def _range(before: str | None, after: str | None) -> str | None:
    return after if before == after else f"{before or DASH} before and {after or DASH} after the timing"


def _on(switch: bool | None) -> str | None:
    return None if switch is None else "on" if switch else "off"


def _number(value: float | None, form: str) -> str | None:
    return None if value is None else f"{value:{form}}"


def _metric(accuracy: Accuracy) -> str:
    """Which library computed the metric; reports of versions up to 0.3 don't tell."""
    if not accuracy.implementation:
        return ""
    return f"; the metric is that of {accuracy.implementation}{'' if accuracy.folds else ', without standard errors'}"


def _classes_judged(report: Report) -> list[str]:
    """Which classes `limits.max_class_drop` is about."""
    if report.limits.max_class_drop is None:
        return []
    objects = report.results[0].accuracy.objects.values()
    judged = sum(count >= ENOUGH for count in objects)
    return [f"limits.max_class_drop judges {judged} of {len(objects)} classes, those with at least {ENOUGH} objects."]


def _images(report: Report) -> str:
    """The images that accuracies are of, and where files were chosen on others, these too."""
    made, count = report.provenance, report.results[0].accuracy.images
    if made.accuracy_on is None or made.chosen_on is None:
        return f"{count} images"
    if made.accuracy_on == made.chosen_on:
        return (
            f"{made.accuracy_on.described}, on which choices that decide what a file is were made as well{_all(report)}"
        )
    return (
        f"{made.accuracy_on.described} (choices that decide what a file is, as of int8's layers in float, were made on "
        f"{made.chosen_on.described}){_all(report)}"
    )


def _all(report: Report) -> str:
    """Which rows were validated on all images, where every row was on a part of them."""
    whole, rows = report.provenance.whole, len(report.concluded.results)
    if whole is None:
        return ""
    if report.results[0].whole is None:
        return f", chosen from {whole.described}, balanced by class (val_images)"
    return (
        f", chosen from {whole.described}, balanced by class (val_images); {rows} rows also on all of these: the first "
        "sentence and the section `On all images` are of them, and the two kinds are never compared"
    )


def _pruned_nothing(report: Report) -> list[str]:
    return [
        f"Pruning removed nothing: for prune={stage.asked:g} no layer is narrowed in steps of {stage.round_to}; "
        "ask for more, or lower pruner.round_to."
        for stage in report.stages
        if isinstance(stage, Pruned) and all(layer.width[0] == layer.width[1] for layer in stage.layers)
    ]


def _relative(report: Report) -> list[str]:
    """The share of the original's accuracy that the row of the verdict keeps."""
    final = report.concluded
    best, first = decide(final).best, final.results[0].accuracy
    if report.unfinished or best is None or first.score == 0:
        return []
    return [
        f"Relative accuracy: {called(best)} keeps {best.accuracy.score / first.score:.1%} of the original's "
        f"{first.metric}; the bars of MLPerf Inference are 99 % and 99.9 %."
    ]


def _clock(report: Report) -> str:
    if report.alone or report.noise is None:
        return (
            "each file alone in a process of its own, all visited in turns, with untimed calls first; p90 and p99 need "
            "44 and 459 calls"
        )
    return "all rows interleaved in one process, as versions up to 0.3 did, which makes small files look slower"


def _noise(report: Report) -> str:
    if report.noise is None or report.noise_spread is None:
        return "Noise: nothing was timed."
    return (
        f"Noise: one artefact timed against itself (A/A) differed by {report.noise:.1%}, quartiles "
        f"+-{report.noise_spread:.1%}; differences in latency below {nothing(report):.0%} mean nothing."
    )


def _rivals(report: Report) -> list[str]:
    source, rivals = report.provenance, [r.variant for r in report.results if r.rival and r.variant.runtime == "torch"]
    described = [
        f"{rival.name} is {rival.path if rival.imgsz == source.imgsz else 'the original'} at {rival.imgsz} px"
        for rival in rivals
    ]
    return [f"Rivals, models you could deploy instead: {', '.join(described)}."] if described else []
