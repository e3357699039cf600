"""Which rows nothing beats: no other is as accurate and costs less."""

from collections.abc import Callable, Sequence

from optimize.sweep.summary.rows import Row, groups
from optimize.verdict.pareto import front

COSTS: dict[str, Callable[[Row], float | None]] = {
    "FLOPs": lambda row: row.result.flops,
    "latency": lambda row: row.result.latency and row.result.latency.median_ms,
    "size": lambda row: row.result.size_bytes,
}


def fronts(known: Sequence[Row]) -> dict[str, list[Row]]:
    """By what is paid, the rows on the front of accuracy against it, the cheapest first; each data set has its own."""
    return {cost: [row for group in groups(known) for row in _front(group, of)] for cost, of in COSTS.items()}


def _front(group: Sequence[Row], of: Callable[[Row], float | None]) -> list[Row]:
    measured = [row for row in group if of(row) is not None]
    return [measured[i] for i in front([(of(row), row.result.accuracy.score) for row in measured])]
