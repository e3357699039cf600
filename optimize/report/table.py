"""The report on the terminal."""

import sys

from rich.console import Console
from rich.table import Table

from optimize.progress import WIDTH_OF_A_FILE
from optimize.report import words
from optimize.result import Report


def show(report: Report) -> None:
    """Print the table and its notes to stdout."""
    console = Console(width=None if sys.stdout.isatty() else WIDTH_OF_A_FILE, highlight=False)
    table = Table(title=words.headline(report), title_justify="left", title_style="bold")
    for name in words.columns(report):
        table.add_column(
            name, justify="left" if name in ("variant", "runtime", "arithmetic") else "right", no_wrap=True
        )
    runtimes = [result.variant.runtime for result in report.results]
    for row, runtime, following in zip(words.rows(report), runtimes, [*runtimes[1:], None], strict=True):
        table.add_row(*row, end_section=runtime != following)
    console.print(table)
    for note in words.notes(report):
        console.print(f"- {note}", markup=False)
