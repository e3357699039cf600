"""report.html: the page that a user decides from, in one file that needs no network."""

from datetime import datetime
from pathlib import Path
from typing import Any

import vl_convert
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from optimize.report import classes, devices, gates, roofline, scenes, verdict, words
from optimize.report.charts import blocks, front, look
from optimize.report.charts import roofline as roofs
from optimize.result import Report

HERE = Path(__file__).parent

OPEN = 6  # pictures that are seen at once


def write(report: Report, path: Path) -> None:
    """Draw `report`; its pictures lie in the folder of `path`."""
    pages = Environment(
        loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    pages.filters["code"] = _code
    path.write_text(pages.get_template("report.html.j2").render(_content(report, path.parent)), encoding="utf-8")


def _content(report: Report, folder: Path) -> dict[str, Any]:
    columns, rows = classes.table(report)
    drawn, missing = scenes.scenes(report, folder)
    return {
        "report": report,
        "made": report.provenance,
        "began": datetime.fromisoformat(report.provenance.began).strftime("%d %B %Y, %H:%M").lstrip("0"),
        "headline": verdict.headline(report),
        "verdict": verdict.parts(report),
        "gates": gates.fired(report),
        "reasons": verdict.reasons(report),
        "device_head": devices.HEAD,
        "device_rows": devices.rows(report),
        "device_note": devices.NOTE,
        "head": words.columns(report),
        "rows": words.rows(report),
        "kinds": words.kinds(report),
        "notes": words.notes(report),
        "charts": _charts(report),
        "precisions": {name: name for name in ("all", *(result.variant.precision for result in report.results))},
        "pairs": {pair.name: blocks.summary(report, pair) for pair in blocks.pairs(report)},
        "layered": {name: name for name in map(roofs.name, roofs.drawn(report))},
        "limit_head": roofline.HEAD,
        "limit_rows": roofline.rows(report),
        "class_columns": columns,
        "class_rows": rows,
        "depth": classes.depth,
        "scenes": drawn,
        "missing": missing,
        "open": OPEN,
        "palette": look.PALETTE,
        "style": (HERE / "page.css").read_text(),
        "vega": vl_convert.javascript_bundle(vl_version=look.VEGA_LITE),
        "script": (HERE / "page.js").read_text(),
    }


def _code(sentence: str) -> Markup:
    """What stands between backticks, as in markdown."""
    parts = (escape(part) for part in sentence.split("`"))
    return Markup("").join(Markup("<code>{}</code>").format(part) if i % 2 else part for i, part in enumerate(parts))


def _charts(report: Report) -> dict[str, dict]:
    """Vega-Lite by the id of its place in the page; what was not measured has none."""
    charts = {"flops": front.against_flops(report)}
    if any(result.latency for result in report.results):
        charts["latency"] = front.against_latency(report)
    if blocks.pairs(report):
        charts["block-flops"] = blocks.flops(report)
        if any(result.profile for result in report.results):
            charts |= {"block-time": blocks.time(report), "block-saved": blocks.saved(report)}
    if roofs.drawn(report):
        charts["roofline"] = roofs.chart(report)
    return {name: look.finished(chart) for name, chart in charts.items()}
