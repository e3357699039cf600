"""Where a run or a sweep writes: a folder that is new, empty or ours, decided before anything is written into it."""

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

NAMES = {  # what is written into each kind of folder
    RUN: (
        *(".hydra", "optimize.log", "uses.txt", "work.txt", "job.json", "output.txt"),
        *("artefacts", "images", "bundle", "results.json", "report.html", "report.md", "report.png"),
        "pictures",  # what images/ was called until version 0.2
    ),
    SWEEP: ("sweep.json", ".lock", "multirun.yaml", "optuna.log", "artefacts", "report.html", "results.csv"),
}
KEYS = {RUN: "hydra.run.dir", SWEEP: "hydra.sweep.dir"}
FIXED = {  # Hydra's keys that would give files other names than these, or another current folder
    "hydra.output_subdir": ".hydra",
    "hydra.job.name": "optimize",
    "hydra.job.chdir": None,
    "hydra.sweep.subdir": "${hydra.job.num}",
}
MOST = 100  # folders beside a finished run, of which one must be free


def check_words(words: Sequence[str]) -> None:
    """Hydra opens the files of its logs before anything of ours is called, and calls us by its callbacks.

    Raises:
        InputError: a word of the command line changes one of the two.
    """
    for word in words:
        if re.match(r"[+~]*hydra([./]callbacks|[./]hydra_logging|\.job_logging)\b|--experimental-rerun", word):
            raise InputError(f"{word} is not allowed, since files could be overwritten; leave it out.")


def check_names(config: DictConfig) -> None:
    """What is written has the names that are checked.

    Raises:
        InputError: Hydra was told to use others.
    """
    for key, value in FIXED.items():
        parent, _, name = key.rpartition(".")
        raw = plain(OmegaConf.select(config, parent))
        if raw[name] != value:
            raise InputError(f"{key}={raw[name]} is not allowed, since files could be overwritten; leave {key} out.")


def claim(folder: Path, kind: str, overwrite: bool, same: bool = False) -> Path:
    """The folder to write into, which may be written into: `folder`, or one beside it that `publish` puts in its place.

    Nothing is written yet; `start` does that.

    Args:
        folder: as it was asked for.
        kind: `run` or `sweep`.
        overwrite: a finished run or sweep that lies there may be replaced, once its successor has ended.
        same: what lies there is what was asked for, and goes on.

    Raises:
        InputError: writing there would overwrite or mix with what lies there.
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
    """Whether the successor of a finished run may be made there: in a new folder, or where one was stopped."""
    known = manifest.read(place)
    if known and known.kind == kind and not known.finished:
        return not _altered(place, os.listdir(place))
    return not os.path.lexists(place)


def start(folder: Path) -> None:
    """Say that the run's folder, which was claimed and is locked, is ours; what an unfinished run left there goes."""
    manifest.begin(folder, RUN)
    for partial in folder.glob(f"{PARTIAL}*"):  # of a run that was killed
        shutil.rmtree(partial)
    manifest.remove(folder, NAMES[RUN])


def publish(made: Path, target: Path) -> None:
    """Put the finished run or sweep in `made` in the place of the one in `target`, which is deleted.

    Raises:
        InputError: `target` was changed meanwhile; both stay where they are.
    """
    if made == target:
        return
    if not target.exists():
        move(made, target)
        return
    if changed := _altered(target, os.listdir(target)):
        raise InputError(
            f"{target / changed[0]} was changed meanwhile, so {target} is not replaced; what was made lies in {made}."
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
    """A single file has no manifest that could prove it ours, so it must be new.

    Raises:
        InputError: there is something at `file`, which was `given` so.
    """
    if os.path.lexists(file):
        raise InputError(f"{given} exists, and nothing is overwritten; give another name, or move it elsewhere.")


def written(folder: Path, kind: str) -> list[str]:
    """Names of what a run or sweep writes into `folder`; the folders of a sweep's jobs as far as they are there."""
    jobs = [name for name in os.listdir(folder) if name.isdigit()] if kind == SWEEP and folder.is_dir() else []
    return [*NAMES[kind], *jobs]


def _check_foreign(folder: Path, kind: str, where: str) -> None:
    """Files that are not ours may lie in a folder as long as we write none of their names."""
    names = NAME, *written(folder, kind), *sorted({Path(name).parts[0] for name in GROWING})
    taken = [name for name in names if os.path.lexists(folder / name)]
    if taken:
        raise InputError(
            f"{where} holds {taken[0]}, which this command did not make and would overwrite; give another folder."
        )


def _check_ours(folder: Path, names: list[str], where: str) -> None:
    if changed := _altered(folder, names):
        raise InputError(
            f"{where} holds {changed[0]}, which is not as this command wrote it; move it elsewhere, or give another "
            "folder."
        )


def _altered(folder: Path, names: list[str]) -> list[str]:
    """As `manifest.altered`, with what lies in the folders of a sweep's jobs, which have manifests of their own."""
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
