"""Reads the explanation of every command-line key from the comment above it in conf/*.yaml.

`python -m optimize.keys` (`make docs`) writes --help, docs/keys.md and conf/schema.json from these; other commands use
the same sentences in their own help.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from textwrap import fill

import yaml

from optimize.conf_folder import CONF

OF_CONF = "pruner", "recover", "quant", "runtime"  # groups whose choices have keys
WIDTH, COLUMN = 140, 26  # characters of a line, and at most of the column of names


@dataclass(frozen=True)
class Key:
    """One key of a yaml.

    Attributes:
        name: as on the command line, e.g. `pruner.scope`.
        meaning: one sentence; empty for `_target_`, for a key that takes another key's value, and for a key that
            another yaml of the group explains.
        default: as written in the yaml; empty for a key that has keys of its own.
    """

    name: str
    meaning: str
    default: str


@dataclass(frozen=True)
class Choice:
    """One yaml of a group.

    Attributes:
        name: as on the command line, e.g. `taylor`.
        meaning: one sentence.
        keys: all keys of the yaml.
    """

    name: str
    meaning: str
    keys: tuple[Key, ...]


@cache
def root() -> dict[str, Key]:
    """The explained keys of conf/config.yaml by name: those that belong to no group, and the groups themselves."""
    return {key.name: key for key in _keys(CONF / "config.yaml", "") if key.meaning}


def meaning(name: str) -> str:
    """The sentence that explains a key of conf/config.yaml."""
    return root()[name].meaning


def nearest(name: str) -> str | None:
    """The key whose name is most like `name`; None where none is alike."""
    of_groups = (key.name for group in OF_CONF for choice in choices(group) for key in choice.keys)
    names = [*root(), *(one for one in of_groups if not one.endswith(("_target_", "defaults")))]
    return next(iter(get_close_matches(name, names, 1)), None)


def choices(group: str) -> list[Choice]:
    """The choices of a group, e.g. `pruner` or `hydra/launcher`."""
    place = group.replace("/", ".") + "."
    return [Choice(path.stem, _head(path), tuple(_keys(path, place))) for path in sorted((CONF / group).glob("*.yaml"))]


def listed(rows: Iterable[tuple[str, str]], width: int = WIDTH) -> str:
    """Names with their sentences as in --help: a sentence stands beside its name, or below it if the name is long."""
    rows = list(rows)
    column = min(max(len(name) for name, _ in rows), COLUMN) + 4
    lines = []
    for name, sentence in rows:
        if len(name) > COLUMN:
            lines.append(f"  {name}")
            name = ""
        lines.append(wrapped(f"  {name}".ljust(column) + sentence, width, column))
    return "\n".join(lines)


def wrapped(text: str, width: int = WIDTH, column: int = 0) -> str:
    """`text` on lines of at most `width` characters, all but the first starting at `column`."""
    return fill(text, width, subsequent_indent=" " * column, break_long_words=False, break_on_hyphens=False)


def _keys(path: Path, place: str) -> Iterator[Key]:
    text = path.read_text(encoding="utf-8")
    return _below(yaml.compose(text, yaml.SafeLoader), place, text)


def _below(node: yaml.Node | None, place: str, text: str) -> Iterator[Key]:
    """The keys of `node` and below it, in a list of defaults the groups; none for an empty file."""
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            name = place + key.value
            yield Key(name, _above(text, key.start_mark.line), _written(value, text))
            yield from _below(value, place if key.value == "defaults" else f"{name}.", text)
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from _below(item, place, text)


def _written(value: yaml.Node, text: str) -> str:
    has_keys = isinstance(value, yaml.MappingNode) and value.value
    return "" if has_keys else text[value.start_mark.index : value.end_mark.index]


def _above(text: str, line: int) -> str:
    """The comment directly above a line; empty for the comment at the start of the file."""
    lines = [above.strip() for above in text.splitlines()[:line]]
    start = line
    while start and lines[start - 1].startswith("#"):
        start -= 1
    return _sentence(lines[start:]) if start else ""


def _head(path: Path) -> str:
    """The sentence in the first comment of a choice, after the line with the example command."""
    lines = path.read_text(encoding="utf-8").splitlines()
    end = next(number for number, line in enumerate(lines) if not line.startswith("#"))
    command = next(number for number, line in enumerate(lines) if line.startswith("# python -m optimize "))
    return _sentence(lines[command + 1 : end])


def _sentence(comment: Iterable[str]) -> str:
    return " ".join(line.removeprefix("#").strip() for line in comment)
