"""What an entry of a store says of itself, and what the stage that made it says of its work: typed, and checked.

A store may be shared, and results.json may come from others, so nothing of them is believed before it was checked here.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, ConfigDict, Field, TypeAdapter, ValidationError

from optimize.input_size import Size
from optimize.inside import content, is_relative
from optimize.work import WORK, Work

MANIFEST = "variant.json"
REPORT = "report.json"
MOST = 64 * 2**20  # bytes of either; a report lists every layer, and every epoch

EXACT = ConfigDict(extra="forbid", strict=True)


def _relative(path: str) -> str:
    if not is_relative(path):
        raise ValueError("it leads out of its folder")
    return path


def _safe(name: str) -> str:
    """Runtimes, precisions and tags become parts of file names."""
    if not re.fullmatch(r"[\w.-]{1,255}", name) or not name.strip("."):
        raise ValueError("it can't be part of a file's name")
    return name


Name = Annotated[str, AfterValidator(_safe)]


@dataclass(frozen=True)
class Entry:
    """The content of variant.json, as in `Variant`; `path` is relative to its folder, `sha256` of the artefact."""

    __pydantic_config__ = EXACT

    path: Annotated[str, AfterValidator(_relative)]
    runtime: Name
    precision: Name
    imgsz: Size
    tags: tuple[Name, ...]
    steps: Annotated[tuple[str, ...], Field(min_length=1)]
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


ENTRY = TypeAdapter(Entry)


def read(folder: Path) -> Entry | None:
    """What variant.json in `folder` says; None where there is none, or none that could be ours."""
    found = content(folder / MANIFEST, MOST)
    try:
        return None if found is None else ENTRY.validate_json(found)
    except ValidationError:
        return None


def report(folder: Path) -> Work | None:
    """What report.json in `folder` says; None where there is none.

    Raises:
        ValueError: it is none that a stage of ours wrote.
    """
    path = folder / REPORT
    found = content(path, MOST)
    if found is None:
        if path.is_symlink() or path.exists():
            raise ValueError(f"{path} is no report")
        return None
    return WORK.validate_json(found)
