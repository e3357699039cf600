"""What is said of a run: a table on the terminal, results.json, report.md and its picture."""

from pathlib import Path

from optimize.report import markdown, picture, results, table
from optimize.result import Report


def write(report: Report, folder: Path) -> None:
    """Write all of them into `folder`, and the table to stdout."""
    results.write(report, folder / "results.json")
    picture.write(report, folder / "report.png")
    markdown.write(report, folder / "report.md")
    table.show(report)
