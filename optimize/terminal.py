"""What reaches the terminal and the log: text of others has no markup there, and controls no terminal."""

import logging
import sys
from typing import Any

from rich.console import Console
from rich.text import Text

from optimize.texts import shown

WIDTH_OF_A_FILE = 180  # a pipe has no width, and a broken table is worse than a long line


class Terminal(Console):
    """Shows every string as it is: cells, titles, notes.

    In a notebook, too, it writes plain lines: rich's own output for Jupyter displays each line apart, also what is only
    to be captured, and needs ipywidgets for bars.
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__(force_jupyter=False, **settings)

    def render_str(self, text: str, **style: Any) -> Text:
        return super().render_str(shown(text), **style | {"markup": False, "emoji": False})


def terminal() -> Terminal:
    """What prints to stdout."""
    return Terminal(width=None if sys.stdout.isatty() else WIDTH_OF_A_FILE, highlight=False)


class Lines(logging.Formatter):
    """A message is one line; only a traceback has more."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        record.message = shown(record.message)
        return super().formatMessage(record)

    def format(self, record: logging.LogRecord) -> str:
        return "\n".join(map(shown, super().format(record).split("\n")))
