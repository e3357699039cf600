"""Latency on other machines, in a separate chart: latencies of different machines are not comparable."""

import altair

from optimize.report.charts import look
from optimize.report.sections.devices import measured
from optimize.result import Report


def times(report: Report) -> look.Layered:
    """A bar per measurement: its median, with quartiles."""
    rows = [
        {
            "place": f"{one.device}, {one.threads} threads: {measured(one, report).variant.name} on {one.runtime}",
            "ms": one.median_ms,
            "left": one.q1_ms,
            "right": one.q3_ms,
            "label": f"{one.median_ms:.2f} ms",
        }
        for one in report.measurements
    ]
    data = altair.Chart(altair.Data(values=rows))
    y = altair.Y("place:N", sort=None, title=None, axis=altair.Axis(labelLimit=420))
    longest = max(one.q3_ms for one in report.measurements)
    reach = altair.Scale(domain=[0, 1.15 * longest], nice=False)  # and room for the label
    axis = altair.Axis(tickCount=6)
    x = altair.X("ms:Q", title="milliseconds for one image, measured on devices", scale=reach, axis=axis)
    return altair.layer(
        data.mark_bar(size=14, color="var(--series1)", cornerRadiusEnd=2).encode(x=x, y=y),
        data.mark_rule(color="var(--ink)").encode(x=altair.X("left:Q"), x2="right:Q", y=y),
        data.mark_text(align="left", dx=8).encode(x=altair.X("right:Q"), y=y, text="label:N"),
    ).properties(height=altair.Step(44))
