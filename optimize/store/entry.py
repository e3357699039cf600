"""Reads the manifest of a store's entry (variant.json) and the stage's report (report.json), typed and validated.

A store may be shared, and results.json may come from others, so their content is validated here before it is used.
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
        raise ValueError("the path leads out of its folder")
    return path


def _safe(name: str) -> str:
    """Check that a runtime, precision or tag can be part of a file's name."""
    if not re.fullmatch(r"[\w.-]{1,255}", name) or not name.strip("."):
        raise ValueError("the name can't be part of a file's name")
    return name


Name = Annotated[str, AfterValidator(_safe)]


@dataclass(frozen=True)
class Entry:
    """The content of variant.json: fields as in `Variant`, `path` relative to the folder, `sha256` of the artefact."""

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
    """The content of variant.json in `folder`; None where it is missing or invalid."""
    text = content(folder / MANIFEST, MOST)
    try:
        return None if text is None else ENTRY.validate_json(text)
    except ValidationError:
        return None


def report(folder: Path) -> Work | None:
    """The content of report.json in `folder`; None where it is missing.

    Raises:
        ValueError: it is invalid, or not a plain file.
    """
    path = folder / REPORT
    text = content(path, MOST)
    if text is None:
        if path.is_symlink() or path.exists():
            raise ValueError(f"{path} is no report")
        return None
    return WORK.validate_json(text)
