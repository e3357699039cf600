"""Applies a stage to a variant and keeps the result in the store: each variant is made once, whole or not at all."""

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
from optimize.inside import files, inside, is_link, is_plain
from optimize.stage import Stage
from optimize.store import entry, manifest
from optimize.store.aside import set_aside
from optimize.store.held import held, record_found, record_made
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
    """Return the variant that `stage` makes of `variant`, from the store if it is there and undamaged.

    The stage works in `<key>.partial`, which is renamed when complete: a killed run leaves no half variant, and the
    next run goes on from what the stage had saved. A lock per key lets parallel jobs share one store. A file or folder
    under either name that this stage can't have left is set aside: its manifest says that it is something else, or it
    holds a link, through which writing would change a file elsewhere.
    """
    expected = variant.after(identity(stage))
    key = expected.key
    final, partial = store / key, store / f"{key}.partial"
    called = name(stage)
    with held(store, key):
        made = read(final)
        if made is not None and _can_be_result(expected, made, stage):
            log.info("%s: found %s for %s in the store", called, made.name, made.runtime)
            record_found(called)
            return made
        if os.path.lexists(final):
            set_aside(final)
        if os.path.lexists(partial) and (partial.is_file() or not is_plain(partial, alone=True)):
            set_aside(partial)
        partial.mkdir(exist_ok=True)
        with working(), during(f"running {called} on {variant.name} for {variant.runtime}"):
            began = perf_counter()  # it may have waited until now for another process
            made = stage(variant, partial)
        if made == variant:
            shutil.rmtree(partial)
            return variant
        made = replace(made, steps=(*variant.steps, identity(stage)))
        _write(made, partial)
        manifest.seal(partial)
        move(partial, final)
        seconds = perf_counter() - began
        log.info("%s: made %s for %s in %.1f s", called, made.name, made.runtime, seconds)
        record_made(called, seconds, sum(file.stat().st_size for file in files(final)))
        return replace(made, path=final / made.path.relative_to(partial))


def name(stage: Stage) -> str:
    """E.g. `Prune`, or `OpenVino.export` for the method of a runtime."""
    return str(getattr(stage, "__qualname__", type(stage).__name__))


def _can_be_result(expected: Variant, stored: Variant, stage: Stage) -> bool:
    """Whether `stored`, as its manifest describes it, can be what `stage` makes.

    Only `export`, a method of a runtime, changes the runtime, to its own. Only a stage that adds its tag changes the
    precision.

    Args:
        expected: the stage's input with the stage added to its steps.
        stored: a variant from the store.
        stage: the stage.
    """
    first_tags, runtime = stored.tags[: len(expected.tags)], getattr(getattr(stage, "__self__", None), "info", None)
    return (
        (stored.steps, stored.imgsz, first_tags) == (expected.steps, expected.imgsz, expected.tags)
        and stored.runtime in (expected.runtime, getattr(runtime, "name", expected.runtime))
        and stored.precision in (expected.precision, *stored.tags[-1:])
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

    None where there is none, where the artefact's SHA-256 has changed, or where its manifest or report is invalid.
    """
    if is_link(folder) or (record := entry.read(folder)) is None:
        return None
    try:
        path = inside(folder, record.path)
        entry.report(folder)
    except (InputError, ValueError):
        return None
    if not is_plain(path) or digest(path) != record.sha256:
        return None
    return Variant(path, record.runtime, record.precision, record.imgsz, record.tags, record.steps)


def report_of(variant: Variant) -> Work | None:
    """The report of the stage that made `variant`; None where the stage wrote none."""
    return entry.report(variant.path.parent)


def write_report(work: Work, folder: Path) -> None:
    """Write a stage's report of its work into `folder`, beside its artefact; stages call it."""
    (folder / REPORT).write_bytes(WORK.dump_json(work, indent=2))
