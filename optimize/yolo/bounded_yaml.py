"""Let ultralytics read no yaml that is small and stands for something large.

Importing this module puts a check in front of its reader, here and in every process that imports it: a few lines of
aliases stand for more nodes than any memory holds, and `nc: 1e10` for as many names.
"""

import re
from collections.abc import Iterator
from math import inf
from pathlib import Path

import yaml
from ultralytics.utils import YAML

LARGEST = 2**22  # bytes: the names of 100,000 classes
EXPANDED = 2**24  # characters and nodes, with what stands in the place of aliases
DEPTH = 50
CLASSES = 100_000  # ImageNet-21k has 21,841
NUMBER = re.compile(r"[-+0-9_:.a-fA-FxX]{1000,}")  # of more digits, and in base 60, it takes for ever to read
UNREADABLE = re.compile(  # what ultralytics takes out of a yaml that can't be read
    r"[^\x09\x0A\x0D\x20-\x7E\x85\xA0-\uD7FF\uE000-\uFFFD\U00010000-\U0010ffff]+"
)
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def check(path: Path) -> None:
    """What `path` holds may be read: it is a file, and stands for no more than it should.

    Raises:
        ValueError: it isn't so.
    """
    if path.exists() and not path.is_file():
        raise ValueError(f"{path} is no file")
    with path.open("rb") as file:
        content = file.read(LARGEST + 1)
    if len(content) > LARGEST:
        raise ValueError(f"{path} is larger than {LARGEST} bytes")
    text = content.decode(errors="ignore")
    for readable in (text, UNREADABLE.sub("", text)):
        try:
            return _check_events(path, yaml.parse(readable, LOADER))
        except yaml.YAMLError:  # ultralytics says where
            continue
    return None


def _check_events(path: Path, events: Iterator[yaml.Event]) -> None:
    total = 0
    sizes: dict[str | None, int] = {}  # by anchor, what it stands for
    around: list[tuple[str | None, int]] = []  # around an event: each anchor, and where it begins
    for event in events:
        if isinstance(event, yaml.AliasEvent):
            if event.anchor not in sizes:
                raise ValueError(f"{path} has the alias *{event.anchor} inside of what it stands for, or without that")
            total += sizes[event.anchor]
        elif isinstance(event, yaml.ScalarEvent):
            if NUMBER.fullmatch(event.value):
                raise ValueError(f"{path} has a number of {len(event.value)} digits")
            total += 1 + len(event.value)
            sizes[event.anchor] = 1 + len(event.value)
        elif isinstance(event, yaml.CollectionStartEvent):
            around.append((event.anchor, total))
            total += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, before = around.pop()
            sizes[anchor] = total - before
        if total > EXPANDED:
            raise ValueError(f"{path} stands for more than {EXPANDED} characters, since its aliases repeat them")
        if len(around) > DEPTH:
            raise ValueError(f"{path} is nested more than {DEPTH} deep")


_load = YAML.load.__func__


def load(cls: type[YAML], file: str | Path = "data.yaml", append_filename: bool = False) -> dict:
    """As ultralytics' own.

    Raises:
        ValueError: as `check`, or it has more classes than any data set. Whatever ultralytics' own raises, too.
    """
    check(Path(file))
    content = _load(cls, file, append_filename)
    try:
        classes = float(content.get("nc") or 0)
    except OverflowError:
        classes = inf
    except (TypeError, ValueError):  # ultralytics says what it must be
        return content
    if classes > CLASSES:
        raise ValueError(f"{file} has nc: {content['nc']}, and no data set has more than {CLASSES} classes")
    return content


YAML.load = classmethod(load)
