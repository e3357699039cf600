"""The frame of every HTML page: one file with style, charts and script, which needs no network."""

from functools import cache
from pathlib import Path
from typing import Any

import vl_convert
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from optimize.report.charts import look

HERE = Path(__file__).parent


def render(template: Path, content: dict[str, Any]) -> str:
    """Render `template`, which extends frame.html.j2, with `content` into a page with its style, charts and script."""
    pages = Environment(
        loader=FileSystemLoader([template.parent, HERE]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    pages.filters["code"] = _code
    shared = {
        "palette": look.PALETTE,
        "style": (HERE / "page.css").read_text(encoding="utf-8"),
        "vega": _vega(),
        "script": (HERE / "page.js").read_text(encoding="utf-8"),
    }
    return pages.get_template(template.name).render(shared | content)


@cache  # takes over a second, and a sweep draws a page per job
def _vega() -> str:
    return vl_convert.javascript_bundle(vl_version=look.VEGA_LITE)  # type: ignore[call-arg]  # its stub lacks a default


def _code(sentence: str) -> Markup:
    """`sentence` in HTML; text between backticks becomes code, as in markdown."""
    parts = (escape(part) for part in sentence.split("`"))
    return Markup("").join(Markup("<code>{}</code>").format(part) if i % 2 else part for i, part in enumerate(parts))
