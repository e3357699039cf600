"""The roofline: the performance of each layer, under the peaks of the machine.

Williams, Waterman, Patterson, "Roofline: an insightful visual performance model for multicore architectures",
Communications of the ACM 52(4), 2009.
"""

from dataclasses import dataclass
from typing import Any

import altair

from optimize.report.charts import look
from optimize.result import Report, Result
from optimize.verdict.verdict import ranked

HEIGHT = 420
TOLD = [
    "layer:N",
    "arithmetic:N",
    altair.Tooltip("milliseconds:Q", format=".3f"),
    altair.Tooltip("reached:Q", title="1e9 operations a second", format=".1f"),
    altair.Tooltip("intensity:Q", title="operations per byte", format=".1f"),
]


@dataclass(frozen=True)
class Row:
    """A row of the report whose layers are known and whose runtime's limits were measured.

    Attributes:
        result: the row.
        points: what its layers reach.
        peaks: 1e9 operations a second that its runtime reaches at most, by arithmetic.
        bandwidth: 1e9 bytes a second that it moves at most.
    """

    result: Result
    points: list[dict[str, Any]]
    peaks: dict[str, float]
    bandwidth: float

    @property
    def name(self) -> str:
        return _name(self.result)


def drawn(report: Report) -> list[Row]:
    """The rows to draw, the verdict's best first, then by latency."""
    machine = report.machine
    if machine is None:
        return []
    rows = []
    for result in ranked(report.results, report):
        runtime, points = result.variant.runtime, _points(result)
        if points and machine.peaks.get(runtime):
            rows.append(Row(result, points, machine.peaks[runtime], machine.bandwidth[runtime]))
    return rows


def chart(report: Report) -> look.Layered:
    """A point per layer of the chosen variant, on logarithmic axes, and a roof per arithmetic of its runtime."""
    rows = drawn(report)
    points = [point for row in rows for point in row.points]
    ridges = [peak / row.bandwidth for row in rows for peak in row.peaks.values()]
    intensities = [*ridges, *(point["intensity"] for point in points)]
    low, high = min(intensities) / 3, 2 * max(intensities)
    roofs = [point for row in rows for point in _roofs(row, high)]
    slopes = [point for row in rows for point in _slopes(row, low)]
    kinds = list(dict.fromkeys([roof["arithmetic"] for roof in roofs] + [point["arithmetic"] for point in points]))
    colour = altair.Color(
        "arithmetic:N",
        sort=kinds,
        title="arithmetic",
        legend=altair.Legend(symbolType="circle", symbolOpacity=1),
        scale=altair.Scale(domain=kinds, range=look.series(len(kinds), first=1)),
    )
    speeds = [point["reached"] for point in (*points, *roofs, *slopes)]
    across, bottom = look.logarithmic(low, high)
    up, side = look.logarithmic(min(speeds) / 1.5, 1.5 * max(speeds))
    x = altair.X("intensity:Q", title="operations per byte moved", scale=across, axis=bottom)
    y = altair.Y("reached:Q", title="1e9 operations a second", scale=up, axis=side)
    key = altair.Legend(tickCount=3, symbolFillColor="var(--soft)")
    size = altair.Size("milliseconds:Q", title="milliseconds", scale=altair.Scale(range=[20, 500]), legend=key)
    chosen = altair.selection_point(name="kind", fields=["arithmetic"], bind="legend")
    slope, slope_named = _memory(slopes, low, x, y)
    lines = (
        _of_choice(roofs)
        .mark_line(strokeWidth=1.8)
        .encode(x=x, y=y, color=colour, opacity=altair.when(chosen).then(altair.value(1)).otherwise(altair.value(0.1)))
    )
    named = (
        _of_choice(roofs, f"datum.intensity == {high}")
        .mark_text(align="right", baseline="bottom", dy=-5, dx=-4)
        .encode(x=x, y=y, color=colour, text="label:N")
    )
    dots = (
        _of_choice(points)
        .mark_point(filled=True, stroke="var(--paper)", strokeWidth=0.7)
        .add_params(chosen)
        .encode(
            x=x,
            y=y,
            color=colour,
            size=size,
            opacity=altair.when(chosen).then(altair.value(0.75)).otherwise(altair.value(0.05)),
            tooltip=TOLD,
        )
    )
    choice = altair.param(name="choice", value=rows[0].name)
    return (
        altair.layer(slope, lines, dots, slope_named, named)
        .add_params(choice)
        .properties(width="container", height=HEIGHT)
    )


def _of_choice(values: list[dict[str, Any]], only: str = "true") -> altair.Chart:
    """The rows of the variant that is chosen in the page."""
    return altair.Chart(altair.Data(values=values)).transform_filter(f"datum.variant == choice && {only}")


def _memory(slopes: list[dict[str, Any]], low: float, x: altair.X, y: altair.Y) -> tuple[altair.Chart, altair.Chart]:
    """The slope, and its name."""
    line = _of_choice(slopes).mark_line(strokeWidth=1.8, color="var(--soft)").encode(x=x, y=y)
    named = (
        _of_choice(slopes, f"datum.intensity == {low}")
        .mark_text(align="left", baseline="middle", dx=14, dy=-2, color="var(--soft)")
        .encode(x=x, y=y, text="label:N")
    )
    return line, named


def _name(result: Result) -> str:
    return f"{result.variant.name} on {result.variant.runtime}"


def _points(result: Result) -> list[dict[str, Any]]:
    """The performance of each layer; nothing for a row that was not profiled."""
    if result.profile is None:
        return []
    return [
        {
            "variant": _name(result),
            "layer": layer.name,
            "arithmetic": layer.arithmetic,
            "milliseconds": layer.milliseconds,
            "intensity": layer.ops / layer.bytes,
            "reached": layer.ops / layer.milliseconds / 1e6,
        }
        for layer in result.profile.layers
        if layer.ops and layer.bytes and layer.milliseconds
    ]


def _roofs(row: Row, high: float) -> list[dict[str, Any]]:
    """The line of each peak, from where the bandwidth allows it."""
    return [
        {"variant": row.name, "arithmetic": kind, "label": f"{kind} {peak:.0f}", "intensity": at, "reached": peak}
        for kind, peak in row.peaks.items()
        for at in (peak / row.bandwidth, high)
    ]


def _slopes(row: Row, low: float) -> list[dict[str, Any]]:
    """The line of the memory bandwidth, up to the highest peak."""
    bandwidth, highest = row.bandwidth, max(row.peaks.values())
    return [
        {"variant": row.name, "intensity": at, "reached": at * bandwidth, "label": f"memory {bandwidth:.0f} GB/s"}
        for at in (low, highest / bandwidth)
    ]
