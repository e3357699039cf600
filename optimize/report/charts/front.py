"""Charts of accuracy against FLOPs, latency and size, each with its Pareto front."""

from collections.abc import Sequence
from typing import Any

import altair

from optimize.report.charts import look, spots
from optimize.result import Report, Result
from optimize.verdict import pareto, plain

LEAST_SPAN = 0.05  # of the accuracy axis: a finer scale makes noise look like a result


def points(report: Report) -> list[dict[str, Any]]:
    """The data that the charts show of each row."""
    return [point(result, report) for result in report.results]


def against_flops(points: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Every row over its operations for one image."""
    return _from_zero([{**row, "x": row["flops"] / 1e9} for row in points], "GFLOPs for one image")


def against_size(points: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Every row over the bytes of its artefact."""
    return _from_zero([{**row, "x": row["bytes"] / 1e6} for row in points], "MB on disk")


def against_latency(points: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Every timed row over its median latency with quartiles, on a logarithmic axis."""
    return _against_time(points, "latency", "milliseconds for one call of the graph, logarithmic")


def against_frame(points: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The same over the time of a whole frame, from the encoded image to boxes."""
    return _against_time(points, "frame", "milliseconds for one frame, logarithmic")


def _against_time(points: Sequence[dict[str, Any]], kind: str, title: str) -> dict[str, Any]:
    timed = [(row, row[kind]) for row in points if row[kind] is not None]
    rows = [{**row, "x": median, "left": low, "right": high} for row, (low, median, high) in timed]
    # Room on the left for the name of the fastest.
    reach = (min(row["left"] for row in rows) / 1.7, 1.25 * max(row["right"] for row in rows))
    scale, axis = look.logarithmic(*reach)
    return _chart(rows, spots.Axis(*reach, logarithmic=True), {"title": title, "scale": scale, "axis": axis})


def point(result: Result, report: Report) -> dict[str, Any]:
    """The data that a chart shows of one row of `report`."""
    accuracy, time, frame = result.accuracy, result.latency, result.frame.total if result.frame else None
    row = {
        "variant": result.variant.name,
        "runtime": result.variant.runtime,
        "precision": result.variant.precision,
        "model": plain.model(result),
        "full": result.precision.fill,
        "mark": result.runtime.mark,
        "metric": accuracy.metric,
        "score": accuracy.score,
        "flops": result.flops,
        "bytes": result.size_bytes,
        "latency": (time.q1_ms, time.median_ms, time.q3_ms) if time else None,
        "frame": (frame.q1_ms, frame.median_ms, frame.q3_ms) if frame else None,
        "points": plain.change(plain.points(result, report)),
        "GFLOPs": f"{result.flops / 1e9:.3f}",
        "MB": f"{result.size_bytes / 1e6:.2f}",
        "milliseconds": f"{time.median_ms:.2f} [{time.q1_ms:.2f}-{time.q3_ms:.2f}]" if time else "not measured",
        "faster": f"{time.speedup:.2f}x" if time else "not measured",
        "frame_ms": f"{frame.median_ms:.2f} [{frame.q1_ms:.2f}-{frame.q3_ms:.2f}]" if frame else "not measured",
    }
    if accuracy.error is not None:
        row |= {"low": accuracy.score - 2 * accuracy.error, "high": accuracy.score + 2 * accuracy.error}
    return row


def _from_zero(rows: list[dict[str, Any]], title: str) -> dict[str, Any]:
    reach = (0, 1.08 * max(row["x"] for row in rows))
    scale, axis = altair.Scale(domain=list(reach), nice=False), altair.Axis(tickCount=6)
    return _chart(rows, spots.Axis(*reach), {"title": title, "scale": scale, "axis": axis})


def _chart(rows: list[dict[str, Any]], axis: spots.Axis, x: dict[str, Any]) -> dict[str, Any]:
    metric = rows[0]["metric"]
    reach = _span([row[key] for row in rows for key in ("score", "low", "high") if key in row])
    y = {
        "title": metric,
        "scale": altair.Scale(domain=list(reach), nice=False),
        "axis": altair.Axis(tickCount=6, format=".2f"),
    }
    at = {"x": altair.X("x:Q", **x), "y": altair.Y("score:Q", **y)}
    colour, shape = _colour(rows), _shape(rows)
    chosen = [altair.selection_point(name=f"by_{key}", fields=[key], bind="legend") for key in ("model", "runtime")]
    precision = altair.param(name="precision", value="all")
    wanted = [*({"param": one.name} for one in chosen), "precision == 'all' || datum.precision == precision"]
    shown = altair.when(altair.PredicateComposition({"and": wanted}))
    strong, faint = (shown.then(altair.value(on)).otherwise(altair.value(off)) for on, off in ((1, 0.07), (0.4, 0.03)))
    tooltip = [
        *("variant:N", "runtime:N"),
        altair.Tooltip("score:Q", title=metric, format=".4f"),
        *("points:N", "GFLOPs:N", "milliseconds:N", "faster:N"),
        altair.Tooltip("frame_ms:N", title="ms of a frame"),
        "MB:N",
    ]

    data = altair.Chart()
    full = altair.FillOpacity("full:Q", scale=None, legend=None)
    marks = {**at, "color": colour, "shape": shape, "opacity": strong, "tooltip": tooltip}
    bars = {"color": colour, "opacity": faint}
    up = data.transform_filter("isValid(datum.low)").mark_rule()
    across = data.transform_filter("isValid(datum.left)").mark_rule()
    best = pareto.front([(row["x"], row["score"]) for row in rows])
    line = [{"x": rows[i]["x"], "score": rows[i]["score"]} for i in best]
    chart = (
        altair.layer(
            # In steps: between two points of the front nothing was measured that is better than the cheaper one.
            altair.Chart(altair.NamedData("line"))
            .mark_line(interpolate="step-after", strokeWidth=1.5, strokeDash=[5, 4], color="var(--soft)")
            .encode(**at, order="x:Q"),
            altair.layer(
                up.encode(x=at["x"], y=altair.Y("low:Q", **y), y2="high:Q", **bars),
                across.encode(x=altair.X("left:Q", **x), x2="right:Q", y=at["y"], **bars),
                data.mark_point(size=95, filled=True).encode(**marks, fillOpacity=full),
                data.mark_point(size=95, filled=False, strokeWidth=1.8).encode(**marks).add_params(*chosen),
                data=altair.NamedData("rows"),
            ),
            altair.layer(
                *(
                    data.mark_text(align=align, baseline="middle", dx=dx, dy=dy)
                    .transform_filter(f"datum.side == {side} && width >= datum.above && width < datum.below")
                    .encode(**at, text="label:N", opacity=strong)
                    for side, (align, dx, dy) in enumerate(spots.SIDES)
                ),
                data=altair.NamedData("names"),
            ),
        )
        .add_params(precision)
        .properties(width="container", height=spots.HEIGHT)
    )
    # Put in afterwards: altair would check and copy every value a hundred times, which takes seconds for 100 rows.
    datasets = {"line": line, "rows": rows, "names": spots.names(rows, best, axis, reach)}
    return look.finished(chart, max(len(row["model"]) for row in rows)) | {"datasets": datasets}


def _colour(rows: list[dict[str, Any]]) -> altair.Color:
    models = list(dict.fromkeys(row["model"] for row in rows))
    return altair.Color(
        "model:N",
        title="model",
        scale=altair.Scale(domain=models, range=look.series(len(models))),
        legend=altair.Legend(symbolType="circle", symbolOpacity=1),
    )


def _shape(rows: list[dict[str, Any]]) -> altair.Shape:
    marks = {row["runtime"]: row["mark"] for row in rows}
    return altair.Shape(
        "runtime:N",
        title="runtime",
        scale=altair.Scale(domain=list(marks), range=list(marks.values())),
        legend=altair.Legend(symbolFillColor="transparent", symbolStrokeColor="var(--ink)"),
    )


def _span(values: list[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    margin = max(0.08 * (high - low), (LEAST_SPAN - high + low) / 2)
    return low - margin, high + margin
