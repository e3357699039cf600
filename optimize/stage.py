"""A stage makes one variant from another; `apply` makes each variant once, whole or not at all."""

import json
import logging
import os
import shutil
from dataclasses import replace
from hashlib import sha256
from itertools import count
from pathlib import Path
from time import perf_counter
from typing import Protocol

from optimize.errors import during
from optimize.host.files import move
from optimize.host.quiet import working
from optimize.store import manifest
from optimize.store.held import held, worked
from optimize.variant import Variant

log = logging.getLogger(__name__)

MANIFEST = "variant.json"
REPORT = "report.json"
ASIDE = ".damaged"


class Stage(Protocol):
    """Settings are the fields of a frozen dataclass; its `repr` is its identity, so it must hold every input."""

    def __call__(self, variant: Variant, folder: Path) -> Variant:
        """Make the new variant inside `folder`, or return `variant` itself where there is nothing to do.

        `folder` may hold what an interrupted call left there. A stage writes `report.json` beside its artefact where
        it has something to say of what it did.
        """
        ...


def digest(path: Path) -> str:
    """SHA-256 of a file, or of all files of a folder with their names, in hex."""
    total = sha256()
    for file in [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file()):
        if file != path:
            total.update(file.relative_to(path).as_posix().encode())
        with file.open("rb") as stream:
            while block := stream.read(1 << 20):
                total.update(block)
    return total.hexdigest()


def apply(stage: Stage, variant: Variant, store: Path) -> Variant:
    """Return the variant that `stage` makes of `variant`, from the store if it is there unharmed.

    Work happens in `<key>.partial`, which is renamed when complete: a killed run leaves no half variant, and the
    next run finds what the stage had saved so far. A lock per key lets parallel jobs share one store.
    """
    key = variant.after(repr(stage)).key
    final, partial = store / key, store / f"{key}.partial"
    name, began = getattr(stage, "__qualname__", type(stage).__name__), perf_counter()
    with held(store, key):
        made = read(final)
        if made is not None:
            log.info("%s: %s for %s is in the store", name, made.name, made.runtime)
            worked("found", name)
            return made
        if os.path.lexists(final):
            _set_aside(final)
        partial.mkdir(exist_ok=True)
        with working(), during(f"running {name} on {variant.name} for {variant.runtime}"):
            made = stage(variant, partial)
        if made == variant:
            shutil.rmtree(partial)
            return variant
        made = replace(made, steps=(*variant.steps, repr(stage)))
        _write(made, partial)
        manifest.seal(partial)
        move(partial, final)
        log.info("%s: made %s for %s in %.1f s", name, made.name, made.runtime, perf_counter() - began)
        worked("made", name)
        return replace(made, path=final / made.path.relative_to(partial))


def _set_aside(folder: Path) -> None:
    """What was damaged, or changed by hand, is made again, and is not ours to delete."""
    places = (folder.with_name(f"{folder.name}-{number}{ASIDE}") for number in count(1))
    aside = next(place for place in places if not os.path.lexists(place))
    log.warning("%s is not as it was made, so it is set aside as %s and made again", folder, aside.name)
    folder.rename(aside)


def _write(variant: Variant, folder: Path) -> None:
    content = {
        "path": variant.path.relative_to(folder).as_posix(),
        "runtime": variant.runtime,
        "precision": variant.precision,
        "imgsz": variant.imgsz,
        "tags": variant.tags,
        "steps": variant.steps,
        "sha256": digest(variant.path),
    }
    (folder / MANIFEST).write_text(json.dumps(content, indent=2), encoding="utf-8")


def read(folder: Path) -> Variant | None:
    """The variant in `folder`, or None where there is none or its bytes are no longer those that were written."""
    if not (folder / MANIFEST).is_file():
        return None
    try:
        content = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        path = folder / content.pop("path")
        if not path.exists() or digest(path) != content.pop("sha256"):
            return None
        return Variant(path=path, tags=tuple(content.pop("tags")), steps=tuple(content.pop("steps")), **content)
    except (ValueError, TypeError, KeyError):  # the manifest itself is damaged
        return None
