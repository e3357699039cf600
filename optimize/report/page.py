"""report.html: the report as one interactive page that needs no network."""

from datetime import datetime
from pathlib import Path
from typing import Any

import altair

from optimize.report import classes, frame, scenes, words
from optimize.report.charts import blocks, front, look
from optimize.report.charts import roofline as roofs
from optimize.report.sections import sections
from optimize.result import Report
from optimize.verdict import gates, verdict

TEMPLATE = Path(__file__).parent / "report.html.j2"
OPEN = 6  # images that are shown unfolded


def write(report: Report, path: Path, folder: Path | None = None) -> None:
    """Write `report` as a page; its images lie in `folder`, by default beside `path`."""
    path.write_text(frame.render(TEMPLATE, _content(report, folder or path.parent)), encoding="utf-8")


def _content(report: Report, folder: Path) -> dict[str, Any]:
    columns, rows = classes.table(report)
    drawn, missing = scenes.scenes(report, folder)
    return {
        "report": report,
        "made": report.provenance,
        "host_state": words.host_state(report),
        "began": datetime.fromisoformat(report.provenance.began).strftime("%d %B %Y, %H:%M").lstrip("0"),
        "headline": verdict.headline(report),
        "verdict": verdict.parts(report),
        "gates": gates.fired(report),
        "reasons": verdict.reasons(report),
        "head": words.columns(report),
        "rows": words.rows(report),
        "kinds": words.kinds(report),
        "notes": words.notes(report),
        "charts": _charts(report),
        "precisions": {name: name for name in ("all", *(result.variant.precision for result in report.results))},
        "pairs": {pair.name: blocks.summary(report, pair) for pair in blocks.pairs(report)},
        "layered": {row.name: row.name for row in roofs.drawn(report)},
        "sections": sections(report),
        "class_columns": columns,
        "class_rows": rows,
        "depth": classes.depth,
        "scenes": drawn,
        "missing": missing,
        "open": OPEN,
    }


def _charts(report: Report) -> dict[str, dict[str, Any]]:
    """Vega-Lite specifications by the id of their element in the page; charts of what was not measured are left out."""
    points = front.points(report)
    fronts = {"flops": front.against_flops(points)}
    if any(result.latency for result in report.results):
        fronts["latency"] = front.against_latency(points)
    if any(result.frame for result in report.results):
        fronts["frame"] = front.against_frame(points)
    charts: dict[str, altair.TopLevelMixin] = {}
    if blocks.pairs(report):
        charts["block-flops"] = blocks.flops(report)
        if any(result.profile for result in report.results):
            charts |= {"block-time": blocks.time(report), "block-saved": blocks.saved(report)}
    if roofs.drawn(report):
        charts["roofline"] = roofs.chart(report)
    return fronts | {name: look.finished(chart) for name, chart in charts.items()}
