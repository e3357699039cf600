"""What is said of a run: a table on the terminal, results.json, report.html, report.md and its image."""

from dataclasses import replace
from pathlib import Path

from optimize.report import results, table
from optimize.result import Report
from optimize.store.manifest import placing
from optimize.texts import mapped, shown


def write(report: Report, folder: Path) -> None:
    """Write all of them into `folder`, all or none, and the table to stdout.

    Raises:
        InputError: as `put`.
    """
    put(report, folder)
    table.show(report)


def put(report: Report, folder: Path) -> None:
    """Write results.json and what people read into `folder`, all or none.

    Raises:
        InputError: one would overwrite a file that is not as an earlier call wrote it.
    """
    with placing(folder) as partial:
        results.write(report, partial / "results.json")
        _draw(report, partial, folder)


def draw(report: Report, folder: Path) -> None:
    """Write what people read into `folder`, which holds the report's images, all or none.

    Raises:
        InputError: as `put`.
    """
    with placing(folder) as partial:
        _draw(report, partial, folder)


def _draw(report: Report, partial: Path, folder: Path) -> None:
    from optimize.report import chart_image, markdown, page  # with them comes altair, for which nobody else need wait

    report = mapped(report, shown)  # what draws the charts ends the process over a control character
    page.write(report, partial / "report.html", folder)
    chart_image.write(report, partial / "report.png")
    markdown.write(report, partial / "report.md")


def moved(report: Report, source: Path, target: Path) -> Report:
    """`report` with the artefacts that lie below `source` at the same places below `target`."""
    results = [
        replace(row, variant=replace(row.variant, path=target / row.variant.path.relative_to(source)))
        if row.variant.path.is_relative_to(source)
        else row
        for row in report.results
    ]
    return replace(report, results=tuple(results))
