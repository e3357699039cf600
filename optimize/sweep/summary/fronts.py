"""Pareto fronts of a sweep: rows that no other row beats in both accuracy and cost."""

from collections.abc import Callable, Sequence

from optimize.sweep.summary.rows import Row, groups
from optimize.verdict.pareto import front


def _milliseconds(row: Row) -> float | None:
    return row.result.latency.median_ms if row.result.latency else None


COSTS: dict[str, Callable[[Row], float | None]] = {
    "FLOPs": lambda row: row.result.flops,
    "latency": _milliseconds,
    "size": lambda row: row.result.size_bytes,
}


def fronts(known: Sequence[Row]) -> dict[str, list[Row]]:
    """The Pareto front (accuracy against cost) for each cost metric, cheapest first; separate for each data set."""
    return {cost: [row for group in groups(known) for row in _front(group, of)] for cost, of in COSTS.items()}


def _front(group: Sequence[Row], of: Callable[[Row], float | None]) -> list[Row]:
    costs = ((row, of(row)) for row in group)
    measured = [(row, cost) for row, cost in costs if cost is not None]
    return [measured[i][0] for i in front([(cost, row.result.accuracy.score) for row, cost in measured])]
