"""The section on savings: FLOPs and milliseconds saved in each block of the network."""

from dataclasses import dataclass

from optimize.measure.by_block import blocks
from optimize.report.sections.section import DASH, Section, Table
from optimize.result import Report, Result

HEAD = ("block", "kind", "MFLOPs", "FLOPs saved", "ms", "time saved", "ms saved")


LEAD = (
    "Per top-level module of the network, by the runtime's own profiler; a layout conversion counts towards the layer "
    "whose output it converts. Profiling adds time and there are gaps between kernels, so each table states the sum of "
    "the kernels' times as a share of the latency."
)


@dataclass(frozen=True)
class Saving:
    """A block, or all of them, in two models that were both profiled.

    Attributes:
        name: as in `by_block.Block`.
        flops, milliseconds: before and after.
    """

    name: str
    flops: tuple[int, int]
    milliseconds: tuple[float, float]


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
    rows = _savings(before, after)
    whole = Saving(
        "all",
        flops=(sum(row.flops[0] for row in rows), sum(row.flops[1] for row in rows)),
        milliseconds=(sum(row.milliseconds[0] for row in rows), sum(row.milliseconds[1] for row in rows)),
    )
    kinds = report.blocks | {"": "no module", "all": ""}
    compared = f"{after.variant.name} against {before.variant.name} on {before.variant.runtime}"
    cells = tuple(_row(row, kinds.get(row.name, "")) for row in (*rows, whole))
    return Table(HEAD, cells, words=("block", "kind"), title=f"{compared}{_covered(whole, before, after)}")


def _savings(before: Result, after: Result) -> list[Saving]:
    savings = []
    for block in blocks((before.cost, after.cost), (before.profile, after.profile)):
        time, time_left = block.milliseconds
        if time is not None and time_left is not None:
            savings.append(Saving(block.name, block.flops, (time, time_left)))
    return savings


def _covered(whole: Saving, before: Result, after: Result) -> str:
    """The sum of the kernels' times as a share of the latency, where both were measured."""
    if before.latency is None or after.latency is None:
        return ""
    time, time_left = whole.milliseconds
    shares = time / before.latency.median_ms, time_left / after.latency.median_ms
    return f" (kernels add up to {' and '.join(f'{share:.0%}' for share in shares)} of the latency)"


def _row(block: Saving, kind: str) -> tuple[str, ...]:
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
