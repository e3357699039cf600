"""The report on the terminal."""

from io import StringIO

from rich.table import Table

from optimize.report import words
from optimize.report.sections import section as records
from optimize.report.sections import sections
from optimize.result import Report
from optimize.terminal import WIDTH_OF_A_FILE, Terminal, terminal
from optimize.verdict import gates, verdict


def text(report: Report) -> str:
    """Every alarm, the table and its notes, as in a pipe."""
    written = StringIO()
    show(report, Terminal(file=written, width=WIDTH_OF_A_FILE, highlight=False))
    return written.getvalue()


def show(report: Report, console: Terminal | None = None) -> None:
    """Print every alarm, the table and its notes, by default to stdout."""
    console = console or terminal()
    for name, sentence in gates.fired(report):
        console.print(f"{name.upper()}: {sentence}", style="bold red")
    table = Table(title=verdict.headline(report), title_justify="left", title_style="bold")
    for name in words.columns(report):
        table.add_column(
            name,
            justify="left" if name in ("variant", "runtime", "arithmetic") else "right",
            no_wrap=name != "variant",
        )
    rows, kinds = words.marked(report), words.kinds(report)
    groups = [(row[1], kind.removeprefix("best").strip()) for row, kind in zip(rows, kinds, strict=True)]
    for row, group, following in zip(rows, groups, [*groups[1:], None], strict=True):
        table.add_row(*row, end_section=group != following)
    console.print(table)
    for note in [*verdict.reasons(report), *words.notes(report)]:
        console.print(f"- {note}")
    for section in sections(report):
        if section.terminal:
            for cells in section.tables:
                console.print(grid(cells.title or section.title, cells))
            console.print(f"- {section.lead}")


def grid(title: str, table: records.Table) -> Table:
    """A table of a section for the terminal; rows with the same first two cells form a group."""
    grid = Table(title=title, title_justify="left", title_style="bold")
    for i, name in enumerate(table.head):
        grid.add_column(name, justify="left" if name in table.words else "right", no_wrap=i > 0, overflow="fold")
    for row, following in zip(table.rows, [*table.rows[1:], None], strict=True):
        grid.add_row(*row, end_section=following is None or row[:2] != following[:2])
    return grid
