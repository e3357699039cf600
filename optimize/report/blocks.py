"""FLOPs saved against milliseconds saved, for each block of the network."""

from optimize.measure.by_block import Block, blocks
from optimize.report.pipes import table
from optimize.result import Report, Result

HEAD = ("block", "kind", "MFLOPs", "FLOPs saved", "ms", "time saved", "ms saved")


def section(report: Report) -> list[str]:
    """Markdown lines: a table per runtime and precision in which two models were profiled; none without such a pair."""
    pairs = compared(report)
    if not pairs:
        return []
    return [
        "## FLOPs saved against milliseconds saved",
        "",
        "Per top-level module of the network, as the runtime's own profiler tells; a change of layout counts for the "
        "layer whose output it changes. Profiling costs time, and kernels leave gaps: what they add up to, as a share "
        "of the latency, is given with each table.",
        "",
        *[line for before, after in pairs for line in _compare(report, before, after)],
    ]


def compared(report: Report) -> list[tuple[Result, Result]]:
    """The original and the smaller model in the same runtime and precision, where both were profiled."""
    alike: dict[tuple[str, str], list[Result]] = {}
    for result in report.results:
        if result.profile and not result.rival:
            alike.setdefault((result.variant.runtime, result.variant.precision), []).append(result)
    return [(found[0], found[-1]) for found in alike.values() if found[0].cost != found[-1].cost]


def _compare(report: Report, before: Result, after: Result) -> list[str]:
    rows = blocks((before.cost, after.cost), (before.profile, after.profile))
    whole = Block(
        "all",
        tuple(sum(row.flops[i] for row in rows) for i in range(2)),
        tuple(sum(row.milliseconds[i] for row in rows) for i in range(2)),
    )
    kinds = report.blocks | {"": "no module", "all": ""}
    return [
        f"{after.variant.name} against {before.variant.name} on {before.variant.runtime}"
        f"{_covered(whole, before, after)}:",
        "",
        *table(HEAD, [_row(row, kinds.get(row.name, "")) for row in (*rows, whole)]),
        "",
    ]


def _covered(whole: Block, *results: Result) -> str:
    """How much of the latency the kernels explain, where that was measured."""
    if not all(result.latency for result in results):
        return ""
    shares = (time / r.latency.median_ms for time, r in zip(whole.milliseconds, results, strict=True))
    return f" (kernels add up to {' and '.join(f'{share:.0%}' for share in shares)} of the latency)"


def _row(block: Block, kind: str) -> tuple[str, ...]:
    (flops, flops_left), (time, time_left) = block.flops, block.milliseconds
    return (
        block.name,
        kind,
        f"{flops / 1e6:.1f} -> {flops_left / 1e6:.1f}",
        f"{1 - flops_left / flops:.0%}" if flops else "-",
        f"{time:.3f} -> {time_left:.3f}",
        f"{1 - time_left / time:.0%}" if time else "-",
        f"{time - time_left:+.3f}",
    )
