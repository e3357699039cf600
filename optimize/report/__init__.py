"""What is said of a run: a table on the terminal, results.json, report.html, report.md and its picture."""

import logging
from pathlib import Path

from optimize.report import markdown, page, picture, results, table, words
from optimize.result import Report

log = logging.getLogger(__name__)


def write(report: Report, folder: Path) -> None:
    """Write all of them into `folder`, and the table to stdout; warn of an int8 that runs in float."""
    for sentence in words.mostly_float(report):
        log.warning(sentence)
    results.write(report, folder / "results.json")
    draw(report, folder)
    table.show(report)


def draw(report: Report, folder: Path) -> None:
    """Write what people read into `folder`, which holds the report's pictures."""
    page.write(report, folder / "report.html")
    picture.write(report, folder / "report.png")
    markdown.write(report, folder / "report.md")
