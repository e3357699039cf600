"""report.png: accuracy against FLOPs and against latency, for readers without a browser."""

from io import BytesIO
from pathlib import Path
from typing import Any

import vl_convert
from PIL import Image

from optimize.report.charts import devices, front, look
from optimize.result import Report

WIDTH, PADDING, SCALE = 520, 24, 2


def write(report: Report, path: Path) -> None:
    """Draw accuracy against FLOPs, against latency if any row was timed, and below both the measurements on devices."""
    points = front.points(report)
    charts = [front.against_flops(points)]
    if any(result.latency for result in report.results):
        charts.append(front.against_latency(points))
    images = [_render(chart | {"width": WIDTH, "padding": PADDING}) for chart in charts]
    whole = Image.new("RGB", (sum(image.width for image in images), max(image.height for image in images)), "white")
    for i, image in enumerate(images):
        whole.paste(image, (sum(before.width for before in images[:i]), 0))
    if report.measurements:
        below = _render(look.finished(devices.times(report).properties(width=2 * WIDTH - 300, padding=PADDING)))
        above, whole = whole, Image.new("RGB", (max(whole.width, below.width), whole.height + below.height), "white")
        whole.paste(above, (0, 0))
        whole.paste(below, (0, above.height))
    whole.save(path)


def _render(spec: dict[str, Any]) -> Image.Image:
    still = look.still({**spec, "config": {**spec["config"], "background": "white"}})
    return Image.open(BytesIO(vl_convert.vegalite_to_png(still, vl_version=look.VEGA_LITE, scale=SCALE)))
