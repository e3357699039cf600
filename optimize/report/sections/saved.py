"""FLOPs saved against milliseconds saved, for each block of the network."""

from optimize.measure.by_block import Block, blocks
from optimize.report.sections.section import DASH, Section, Table
from optimize.result import Report, Result

HEAD = ("block", "kind", "MFLOPs", "FLOPs saved", "ms", "time saved", "ms saved")


LEAD = (
    "Per top-level module of the network, as the runtime's own profiler tells; a change of layout counts for the layer "
    "whose output it changes. Profiling costs time, and kernels leave gaps: what they add up to, as a share of the "
    "latency, is given with each table."
)


def section(report: Report) -> Section | None:
    """A table per runtime and precision in which two models were profiled; None without such a pair."""
    tables = tuple(_compare(report, before, after) for before, after in compared(report))
    if not tables:
        return None
    return Section("saved", "FLOPs saved against milliseconds saved", LEAD, tables, folded=True)


def compared(report: Report) -> list[tuple[Result, Result]]:
    """The original and the smaller model in the same runtime and precision, where both were profiled."""
    alike: dict[tuple[str, str], list[Result]] = {}
    for result in report.results:
        if result.profile and not result.rival:
            alike.setdefault((result.variant.runtime, result.variant.precision), []).append(result)
    return [(found[0], found[-1]) for found in alike.values() if found[0].cost != found[-1].cost]


def _compare(report: Report, before: Result, after: Result) -> Table:
    rows = blocks((before.cost, after.cost), (before.profile, after.profile))
    whole = Block(
        "all",
        tuple(sum(row.flops[i] for row in rows) for i in range(2)),
        tuple(sum(row.milliseconds[i] for row in rows) for i in range(2)),
    )
    kinds = report.blocks | {"": "no module", "all": ""}
    compared = f"{after.variant.name} against {before.variant.name} on {before.variant.runtime}"
    cells = tuple(_row(row, kinds.get(row.name, "")) for row in (*rows, whole))
    return Table(HEAD, cells, words=("block", "kind"), title=f"{compared}{_covered(whole, before, after)}")


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
        f"{1 - flops_left / flops:.0%}" if flops else DASH,
        f"{time:.3f} -> {time_left:.3f}",
        f"{1 - time_left / time:.0%}" if time else DASH,
        f"{time - time_left:+.3f}",
    )
