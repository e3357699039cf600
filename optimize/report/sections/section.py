"""The record of a section of the report, which the page, report.md and the terminal render."""

from dataclasses import dataclass

DASH = "-"


@dataclass(frozen=True)
class Table:
    """Cells as text.

    Attributes:
        head: a name for each column.
        rows: a cell for each column.
        words: the columns of `head` that hold words and are aligned left; the others hold figures.
        title: distinguishes it from other tables of its section; empty where there is only one.
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
        lead: the paragraph below the heading.
        tables: in order.
        notes: what a reader needs to interpret the figures, a sentence each.
        sources: the source of each figure; the page folds them away.
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
