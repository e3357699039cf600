"""Escapes untrusted text (names of classes, layers, devices and files; errors) for the terminal, HTML and markdown."""

import re
from collections.abc import Callable
from dataclasses import fields, is_dataclass, replace
from pathlib import PurePath
from typing import Any, TypeVar

LONGEST = 100_000  # characters of one text in a file of ours
# Control characters, changes of the writing direction, surrogates, and characters that XML forbids, over which the
# drawing library ends the whole process.
CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]")
BREAKS = "\t\n\v\f\r\x85\u2028\u2029"

Anything = TypeVar("Anything")


def shown(text: str) -> str:
    r"""`text` in one line, with its control characters spelled out, e.g. `\x1b`; all other letters stay as they are."""
    return CONTROL.sub(lambda found: " " if found[0] in BREAKS else ascii(found[0])[1:-1], text)


def markdown(text: str) -> str:
    """Escape `text` for markdown: one line without HTML, headings, tables, links or code blocks."""
    text = re.sub(r"\\(?=[!-/:-@\[-`{-~]|$)", r"\\\\", shown(text).strip())
    text = re.sub(r"&(?=#?\w+;)", "&amp;", text).replace("<", "&lt;")
    text = re.sub(r"[\[|]", r"\\\g<0>", text)
    text = re.sub(r"(?i)(?<=www)\.|:(?=//)", r"\\\g<0>", text)  # many readers make a link of every address
    return re.sub(r"^(?=#|>|[-=+*]|`{3}|~{3})", r"\\", text)


def code(text: str) -> str:
    """`text` as a code span in markdown."""
    text = shown(text)
    fence = "`" * (1 + max(map(len, re.findall("`+", text)), default=0))
    space = " " if len(fence) > 1 else ""
    return f"{fence}{space}{text}{space}{fence}"


def mapped(value: Anything, change: Callable[[str], str]) -> Anything:
    """`value`, a record or a collection of such, with every text and path in it changed, keys too."""
    changed: Anything = _mapped(value, change)
    return changed


def _mapped(value: Any, change: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return change(value)
    if isinstance(value, PurePath):
        return type(value)(change(str(value)))
    if isinstance(value, dict):
        return {mapped(key, change): mapped(item, change) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(mapped(item, change) for item in value)
    if is_dataclass(value) and not isinstance(value, type):
        names = (field.name for field in fields(value) if field.init)
        return replace(value, **{name: mapped(getattr(value, name), change) for name in names})
    return value
