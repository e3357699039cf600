"""What is said of a run: a table on the terminal, results.json, report.html, report.md and its picture."""

from pathlib import Path

from optimize.report import markdown, page, picture, results, table
from optimize.result import Report


def write(report: Report, folder: Path) -> None:
    """Write all of them into `folder`, and the table to stdout."""
    results.write(report, folder / "results.json")
    draw(report, folder)
    table.show(report)


def draw(report: Report, folder: Path) -> None:
    """Write what people read into `folder`, which holds the report's pictures."""
    page.write(report, folder / "report.html")
    picture.write(report, folder / "report.png")
    markdown.write(report, folder / "report.md")
