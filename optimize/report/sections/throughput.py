"""The section on throughput: images per second with several images in a call and several calls at once."""

from optimize.measure.throughput import Rate
from optimize.report.sections.section import Section, Table
from optimize.result import Report, Result

HEAD = ("variant", "runtime", "batch", "streams", "images per second", "quartiles", "to one by one")
LEAD = (
    "Images per second with `batch` images in a call and `streams` calls at once, which share the threads. It is "
    "another goal than latency: a camera waits for one frame, a box with four cameras lives by the second. `to one by "
    "one` is against batch 1 in one stream of the same row, where that was measured."
)
NOTES = (
    "Each batch above 1 has a file of its own beside the row's, and `_dynamic` takes any batch. Their outputs were "
    "compared with the row's own file image by image; accuracy was not validated again.",
)


def section(report: Report) -> Section | None:
    """A row for each batch and number of streams of each variant; None without any."""
    rows = tuple(_row(row, rate) for row in report.results for rate in row.throughput)
    if not rows:
        return None
    return Section("throughput", "Throughput", LEAD, (Table(HEAD, rows, words=HEAD[:2]),), notes=NOTES)


def _row(row: Result, rate: Rate) -> tuple[str, ...]:
    single = next((one for one in row.throughput if (one.batch, one.streams) == (1, 1)), None)
    return (
        row.variant.name,
        row.variant.runtime,
        str(rate.batch),
        str(rate.streams),
        f"{rate.per_second:.1f}",
        f"{rate.low:.1f}-{rate.high:.1f}",
        f"{rate.per_second / single.per_second:.2f}x" if single else "-",
    )
