"""What is said of a run: a table on the terminal, results.json, report.html, report.md and its picture."""

from pathlib import Path

from optimize.report import results, table
from optimize.result import Report


def write(report: Report, folder: Path) -> None:
    """Write all of them into `folder`, and the table to stdout."""
    results.write(report, folder / "results.json")
    draw(report, folder)
    table.show(report)


def draw(report: Report, folder: Path) -> None:
    """Write what people read into `folder`, which holds the report's pictures."""
    from optimize.report import markdown, page, picture  # with them comes altair, for which nobody else need wait

    page.write(report, folder / "report.html")
    picture.write(report, folder / "report.png")
    markdown.write(report, folder / "report.md")
