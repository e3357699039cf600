"""One section of the report: a record that the page, report.md and the terminal each show in their way."""

from dataclasses import dataclass

DASH = "-"


@dataclass(frozen=True)
class Table:
    """Cells as text.

    Attributes:
        head: a name for each column.
        rows: a cell for each column.
        words: those of `head` whose cells are words, which stand on the left of their column; the others are figures.
        title: what tells it from other tables of its section; empty where there is but one.
    """

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    words: tuple[str, ...]
    title: str = ""


@dataclass(frozen=True)
class Section:
    """One section.

    Attributes:
        name: one word, by which the page links to it.
        title: its heading.
        lead: what a reader must know first.
        tables: in order.
        notes: what a reader must know to believe the figures, a sentence each.
        sources: where each figure is from, which the page folds away.
        terminal: whether it is short and important enough for the terminal.
        folded: whether it is so long that the page folds it away.
    """

    name: str
    title: str
    lead: str
    tables: tuple[Table, ...]
    notes: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    terminal: bool = False
    folded: bool = False
