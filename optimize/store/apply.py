"""Each variant is made once, whole or not at all."""

import json
import logging
import os
import shutil
from dataclasses import asdict, replace
from hashlib import sha256
from pathlib import Path
from time import perf_counter

from optimize.errors import InputError, during
from optimize.host.files import move
from optimize.host.quiet import working
from optimize.identity import identity
from optimize.inside import inside, is_link, is_plain
from optimize.stage import Stage
from optimize.store import entry, manifest
from optimize.store.aside import set_aside
from optimize.store.held import held, worked
from optimize.variant import Variant
from optimize.work import WORK, Work

log = logging.getLogger(__name__)

MANIFEST, REPORT = entry.MANIFEST, entry.REPORT


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
    next run finds what the stage had saved so far. A lock per key lets parallel jobs share one store. What lies there
    under either name and is not what the same work leaves is set aside: it says that it is something else, or holds a
    link, which would lead what is written there to a file elsewhere.
    """
    asked = variant.after(identity(stage))
    key = asked.key
    final, partial = store / key, store / f"{key}.partial"
    name, began = getattr(stage, "__qualname__", type(stage).__name__), perf_counter()
    with held(store, key):
        made = read(final)
        if made is not None and _is_what_was(asked, made, stage):
            log.info("%s: %s for %s is in the store", name, made.name, made.runtime)
            worked("found", name)
            return made
        if os.path.lexists(final):
            set_aside(final)
        if os.path.lexists(partial) and (partial.is_file() or not is_plain(partial, alone=True)):
            set_aside(partial)
        partial.mkdir(exist_ok=True)
        with working(), during(f"running {name} on {variant.name} for {variant.runtime}"):
            made = stage(variant, partial)
        if made == variant:
            shutil.rmtree(partial)
            return variant
        made = replace(made, steps=(*variant.steps, identity(stage)))
        _write(made, partial)
        manifest.seal(partial)
        move(partial, final)
        log.info("%s: made %s for %s in %.1f s", name, made.name, made.runtime, perf_counter() - began)
        worked("made", name)
        return replace(made, path=final / made.path.relative_to(partial))


def _is_what_was(asked: Variant, made: Variant, stage: Stage) -> bool:
    """Whether `made`, as a store tells it, can be what `stage` makes of a variant, `asked` with that step more.

    Only `export`, a method of a runtime, makes a variant of another runtime, its own; and only a stage that adds its
    tag makes one of another precision.
    """
    begins, runtime = made.tags[: len(asked.tags)], getattr(getattr(stage, "__self__", None), "info", None)
    return (
        (made.steps, made.imgsz, begins) == (asked.steps, asked.imgsz, asked.tags)
        and made.runtime in (asked.runtime, getattr(runtime, "name", asked.runtime))
        and made.precision in (asked.precision, *made.tags[-1:])
    )


def _write(variant: Variant, folder: Path) -> None:
    content = {
        "path": variant.path.relative_to(folder).as_posix(),
        "runtime": variant.runtime,
        "precision": variant.precision,
        "imgsz": asdict(variant.imgsz),
        "tags": variant.tags,
        "steps": variant.steps,
        "sha256": digest(variant.path),
    }
    (folder / MANIFEST).write_text(json.dumps(content, indent=2), encoding="utf-8")


def read(folder: Path) -> Variant | None:
    """The variant in `folder`.

    None where there is none, where its bytes are no longer those that were written, or where what it or its stage says
    of it can't be.
    """
    if is_link(folder) or (found := entry.read(folder)) is None:
        return None
    try:
        path = inside(folder, found.path)
        entry.report(folder)
    except (InputError, ValueError):
        return None
    if not is_plain(path) or digest(path) != found.sha256:
        return None
    return Variant(path, found.runtime, found.precision, found.imgsz, found.tags, found.steps)


def report_of(variant: Variant) -> Work | None:
    """What the stage that made `variant` says of its work, where it has something to say."""
    return entry.report(variant.path.parent)


def write_report(work: Work, folder: Path) -> None:
    """What a stage calls to say what it did, beside its artefact in `folder`."""
    (folder / REPORT).write_bytes(WORK.dump_json(work, indent=2))
