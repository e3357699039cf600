"""What all charts have in common: colours that follow the page's theme, fonts, axes.

A chart names its colours as CSS variables, so that the SVG in the page turns dark or light with it; for an image
without a page, `still` puts the light ones in.
"""

import json
from math import ceil, floor, log10
from typing import Any

import altair

VEGA_LITE = ".".join(altair.SCHEMA_VERSION.removeprefix("v").split(".")[:2])

# light, dark; the series are distinguishable without red or green (after Okabe and Ito), and in grey by shape
PALETTE = {
    "paper": ("#ffffff", "#15181d"),
    "panel": ("#f6f7f9", "#1c2027"),
    "line": ("#e1e4e8", "#323842"),
    "ink": ("#1b1f24", "#e9ecef"),
    "soft": ("#59616b", "#a5adb8"),
    "accent": ("#0b62c4", "#79b4ff"),
    "loss": ("#c2410c", "#ff8a4c"),
    "gain": ("#0072b2", "#5db5f0"),
    "series0": ("#6b7280", "#a8b0bc"),
    "series1": ("#0072b2", "#56b4e9"),
    "series2": ("#b5500b", "#f0954a"),
    "series3": ("#8a3f97", "#d694e0"),
    "series4": ("#00795c", "#2fc79c"),
    "series5": ("#8a6d00", "#e6c84f"),
}
Layered = altair.LayerChart | altair.FacetChart  # what altair.layer gives
LETTER, ROOM = 7, 45  # pixels: width of a letter of a legend, and of its mark with a gap
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"


def series(count: int, first: int = 0) -> list[str]:
    """`count` colours from the number `first` on; grey, for the original, is number 0 and is used once."""
    grey, *others = (name for name in PALETTE if name.startswith("series"))
    return [f"var(--{others[(i - 1) % len(others)] if i else grey})" for i in range(first, first + count)]


def logarithmic(low: float, high: float) -> tuple[altair.Scale, altair.Axis]:
    """A logarithmic scale from `low` to `high` with lines at 1, 2, 5, 10, 20 ..."""
    decades = range(floor(log10(low)), ceil(log10(high)))
    values = [head * 10.0**decade for decade in decades for head in (1, 2, 5) if low <= head * 10.0**decade <= high]
    return altair.Scale(type="log", domain=[low, high], nice=False), altair.Axis(values=values, format="~g")


def finished(chart: altair.TopLevelMixin, longest: int = 0) -> dict[str, Any]:
    """The Vega-Lite of a chart in the report's look; `longest` is how many letters a label of its legend may have."""
    fit = f"max(1, floor(width / {ROOM + LETTER * longest}))"
    axis = {
        "domain": False,
        "gridColor": "var(--line)",
        "labelColor": "var(--soft)",
        "labelFontSize": 12,
        "labelOverlap": "greedy",
        "labelPadding": 6,
        "labelSeparation": 8,
        "tickColor": "var(--line)",
        "ticks": False,
        "titleColor": "var(--soft)",
        "titleFontSize": 12,
        "titleFontWeight": 500,
        "titlePadding": 12,
    }
    legend = {
        "columns": {"expr": f"min({fit}, width < 420 ? 2 : width < 620 ? 3 : 6)"},
        "labelColor": "var(--ink)",
        "labelFontSize": 12,
        "labelLimit": 320,
        "layout": {"bottom": {"anchor": "start", "direction": "vertical", "margin": 10}},
        "orient": "bottom",
        "symbolSize": 90,
        "titleColor": "var(--soft)",
        "titleFontSize": 12,
        "titleFontWeight": 500,
    }
    look = {
        "background": "transparent",
        "font": FONT,
        "axis": axis,
        "legend": legend,
        "text": {"color": "var(--ink)", "fontSize": 12},
        "view": {"stroke": None},
    }
    return {**chart.to_dict(), "config": look}


def still(spec: dict[str, Any]) -> str:
    """The same chart as JSON with the colours of the light theme, for renderers without CSS."""
    text = json.dumps(spec)
    for name, (light, _) in PALETTE.items():
        text = text.replace(f"var(--{name})", light)
    return text
