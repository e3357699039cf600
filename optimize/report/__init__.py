"""The report of a run: a table on the terminal, results.json, report.html, report.md and report.png."""

from dataclasses import replace
from pathlib import Path

from optimize.report import results, table
from optimize.result import Report
from optimize.store.manifest import placing
from optimize.texts import mapped, shown


def write(report: Report, folder: Path) -> None:
    """Write all files of the report into `folder`, all or none, and print the table to stdout.

    Raises:
        InputError: as `put`.
    """
    put(report, folder)
    table.show(report)


def put(report: Report, folder: Path) -> None:
    """Write results.json and the drawn report into `folder`, all or none.

    Raises:
        InputError: a file that would be overwritten was changed since an earlier call wrote it.
    """
    with placing(folder) as partial:
        results.write(report, partial / "results.json")
        _draw(report, partial, folder)


def draw(report: Report, folder: Path) -> None:
    """Write report.html, report.md and report.png into `folder`, which holds the report's images, all or none.

    Raises:
        InputError: as `put`.
    """
    with placing(folder) as partial:
        _draw(report, partial, folder)


def _draw(report: Report, partial: Path, folder: Path) -> None:
    from optimize.report import card, chart_image, markdown, page  # they import altair, which is slow

    report = mapped(report, shown)  # a control character would crash the chart renderer
    page.write(report, partial / "report.html", folder)
    chart_image.write(report, partial / "report.png")
    markdown.write(report, partial / "report.md")
    if report.provenance.config.get("card") and not report.unfinished:
        card.write(report, partial / "README.md")


def moved(report: Report, source: Path, target: Path) -> Report:
    """`report` in which the paths of artefacts below `source` are the same paths below `target`."""
    results = [
        replace(row, variant=replace(row.variant, path=target / row.variant.path.relative_to(source)))
        if row.variant.path.is_relative_to(source)
        else row
        for row in report.results
    ]
    return replace(report, results=tuple(results))
