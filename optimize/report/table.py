"""The report on the terminal."""

from collections.abc import Sequence

from rich.table import Table

from optimize.report import bounds, devices, words
from optimize.result import Report
from optimize.terminal import terminal
from optimize.verdict import gates, verdict


def show(report: Report) -> None:
    """Print every alarm, the table and its notes to stdout."""
    console = terminal()
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
    sections = [(row[1], kind.removeprefix("best").strip()) for row, kind in zip(rows, kinds, strict=True)]
    for row, section, following in zip(rows, sections, [*sections[1:], None], strict=True):
        table.add_row(*row, end_section=section != following)
    console.print(table)
    if report.measurements:
        console.print(_devices(report))
    for note in [*verdict.reasons(report), *words.notes(report)]:
        console.print(f"- {note}")
    if report.device:
        console.print(of_bounds(bounds.title(report.device), bounds.HEAD, bounds.rows(report)))
        console.print(f"- {bounds.notes(report.device)[0]}")


def of_bounds(title: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    """A table of bounds, apart from whatever was measured."""
    table = Table(title=title, title_justify="left", title_style="bold")
    for name in head:
        word = name in ("model", "unit", "arithmetic", "limits")
        table.add_column(name, justify="left" if word else "right", no_wrap=name != "model", overflow="fold")
    for row, following in zip(rows, [*rows[1:], None], strict=True):
        table.add_row(*row, end_section=following is None or row[:2] != following[:2])
    return table


def _devices(report: Report) -> Table:
    table = Table(title=f"Measured on devices. {devices.NOTE}", title_justify="left")
    for i, name in enumerate(devices.HEAD):
        table.add_column(name, justify="left" if i < 4 else "right", no_wrap=i > 0)
    for cells in devices.rows(report):
        table.add_row(*cells)
    return table
