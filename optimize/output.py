"""Decides whether a run or a sweep may write into a folder, before anything is written."""

import os
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from uuid import uuid4

from omegaconf import DictConfig, OmegaConf

from optimize.config import plain
from optimize.errors import InputError
from optimize.host.files import move
from optimize.store import manifest
from optimize.store.manifest import GROWING, NAME, PARTIAL, RUN, SWEEP

NAMES = {  # files and folders written into each kind of folder
    RUN: (
        *(".hydra", "optimize.log", "uses.txt", "work.txt", "job.json", "output.txt"),
        *("artefacts", "images", "bundle", "results.json", "report.html", "report.md", "report.png", "README.md"),
        "pictures",  # the name of images/ until version 0.2
    ),
    SWEEP: ("sweep.json", ".lock", "multirun.yaml", "optuna.log", "artefacts", "report.html", "results.csv"),
}
KEYS = {RUN: "hydra.run.dir", SWEEP: "hydra.sweep.dir"}
FIXED = {  # Hydra's keys that decide file names or the current folder, and their only allowed values
    "hydra.output_subdir": ".hydra",
    "hydra.job.name": "optimize",
    "hydra.job.chdir": None,
    "hydra.sweep.subdir": "${hydra.job.num}",
}
MOST = 100  # names tried for a folder beside a finished run


def check_words(words: Sequence[str]) -> None:
    """Check that the command line does not change Hydra's log files or callbacks, which Hydra uses before our checks.

    Raises:
        InputError: a word of the command line does.
    """
    for word in words:
        if re.match(r"[+~]*hydra([./]callbacks|[./]hydra_logging|\.job_logging)\b|--experimental-rerun", word):
            raise InputError(f"{word} is not allowed, since files could be overwritten; leave it out.")


def check_names(config: DictConfig) -> None:
    """Check that Hydra writes files under the names in `NAMES`.

    Raises:
        InputError: a key of Hydra gives them other names.
    """
    for key, value in FIXED.items():
        parent, _, name = key.rpartition(".")
        raw = plain(OmegaConf.select(config, parent))
        if raw[name] != value:
            raise InputError(f"{key}={raw[name]} is not allowed, since files could be overwritten; leave {key} out.")


def claim(folder: Path, kind: str, overwrite: bool, same: bool = False) -> Path:
    """The folder to write into: `folder`, or one beside it that `publish` moves to `folder` at the end.

    Nothing is written yet; `start` does that.

    Args:
        folder: as the user gave it.
        kind: `run` or `sweep`.
        overwrite: whether a finished run or sweep in `folder` may be replaced once its successor has ended.
        same: whether the sweep in `folder` is the requested one, and is resumed.

    Raises:
        InputError: writing there would overwrite or mix with other files.
    """
    where = f"{KEYS[kind]}={folder}"
    if os.path.lexists(folder) and not folder.is_dir():
        raise InputError(f"{where} is {'a file' if folder.exists() else 'a link to nothing'}; give a folder.")
    known = manifest.read(folder)
    if known is None:
        _check_foreign(folder, kind, where)
        return folder
    if known.kind != kind:
        raise InputError(f"{where} holds a {known.kind}; give another folder for a {kind}.")
    if same or not known.finished:
        _check_ours(folder, written(folder, kind), where)
        return folder
    if not overwrite:
        raise InputError(
            f"{where} holds a finished {kind}; give another folder, or overwrite=true, which replaces that {kind} when "
            "the new one has ended."
        )
    _check_ours(folder, os.listdir(folder), where)
    beside = (folder.resolve().with_name(f"{folder.resolve().name}.new{i}") for i in ("", *range(2, MOST)))
    return next(place for place in beside if _is_free(place, kind))


def _is_free(place: Path, kind: str) -> bool:
    """Whether the successor of a finished run may be made in `place`: a new folder, or that of a stopped successor."""
    known = manifest.read(place)
    if known and known.kind == kind and not known.finished:
        return not _altered(place, os.listdir(place))
    return not os.path.lexists(place)


def start(folder: Path) -> None:
    """Mark the claimed and locked `folder` as a run's, and delete what an unfinished run left there."""
    manifest.begin(folder, RUN)
    for partial in folder.glob(f"{PARTIAL}*"):  # left by a run that was killed
        shutil.rmtree(partial)
    manifest.remove(folder, NAMES[RUN])


def publish(made: Path, target: Path) -> None:
    """Move the finished run or sweep in `made` to `target`, and delete the one that it replaces.

    Raises:
        InputError: `target` was changed during the run; both stay where they are.
    """
    if made == target:
        return
    if not target.exists():
        move(made, target)
        return
    if changed := _altered(target, os.listdir(target)):
        raise InputError(
            f"{target / changed[0]} was changed during the run, so {target} is not replaced; the new results are in "
            f"{made}."
        )
    old = target.with_name(f"{target.name}.{uuid4().hex}")
    move(target, old)
    try:
        move(made, target)
    except OSError:
        move(old, target)
        raise
    shutil.rmtree(old)


def check_new(given: str, file: Path) -> None:
    """Check that `file` is new, since a single file has no manifest that proves it ours.

    Raises:
        InputError: it exists; `given` is how the user named it.
    """
    if os.path.lexists(file):
        raise InputError(f"{given} exists and is not overwritten; give another name, or move the file elsewhere.")


def written(folder: Path, kind: str) -> list[str]:
    """Names that a run or sweep writes into `folder`, including the existing folders of a sweep's jobs."""
    jobs = [name for name in os.listdir(folder) if name.isdigit()] if kind == SWEEP and folder.is_dir() else []
    return [*NAMES[kind], *jobs]


def _check_foreign(folder: Path, kind: str, where: str) -> None:
    """Check that `folder`, which is not ours, holds none of the names that we write; other files may lie there."""
    names = NAME, *written(folder, kind), *sorted({Path(name).parts[0] for name in GROWING})
    taken = [name for name in names if os.path.lexists(folder / name)]
    if taken:
        raise InputError(
            f"{where} holds {taken[0]}, which this command did not write and would overwrite; give another folder."
        )


def _check_ours(folder: Path, names: list[str], where: str) -> None:
    if changed := _altered(folder, names):
        raise InputError(
            f"{where} holds {changed[0]}, which was changed since this command wrote it; move it elsewhere, or give "
            "another folder."
        )


def _altered(folder: Path, names: list[str]) -> list[str]:
    """As `manifest.altered`, including the folders of a sweep's jobs, which have manifests of their own."""
    known = manifest.read(folder)
    jobs = [name for name in names if known and known.kind == SWEEP and _is_job(folder / name)]
    found = manifest.altered(folder, [name for name in names if name not in (NAME, *jobs)])
    for job in jobs:
        entries = [name for name in os.listdir(folder / job) if name != NAME]
        paths = manifest.altered(folder / job, entries)
        begun = manifest.read(folder / job) is not None  # else it was killed before it could say whose it is
        found += [f"{job}/{path}" for path in paths if begun or path not in GROWING]
    return found


def _is_job(path: Path) -> bool:
    known = manifest.read(path)
    return path.name.isdigit() and path.is_dir() and not path.is_symlink() and (not known or known.kind == RUN)
