"""What is said of a run: a table on the terminal, results.json, report.md and its picture."""

from pathlib import Path

from omegaconf import DictConfig

from optimize.pipeline import Plan
from optimize.report import markdown, picture, results, table
from optimize.result import Report


def write(report: Report, plan: Plan, config: DictConfig, folder: Path) -> None:
    """Write all of them into `folder`, and the table to stdout."""
    results.write(report, plan, config, folder / "results.json")
    picture.write(report, folder / "report.png")
    markdown.write(report, plan, folder / "report.md")
    table.show(report, plan)
