"""Lists what lies in a store and which part of it runs need, and deletes the rest."""

import os
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from stat import S_ISREG

from filelock import Timeout

from optimize.errors import InputError
from optimize.inside import DEEPEST, content, files, is_link
from optimize.store import durations, entry, manifest
from optimize.store.apply import read
from optimize.store.aside import ASIDE
from optimize.store.entry import MANIFEST
from optimize.store.held import NOTES, lock_of
from optimize.store.manifest import NAME, STORE

LOCK, CLEARED, MODEL = ".lock", ".cleared", ".pt"
KINDS = {  # by the end of a name; None: the entry's manifest names the stage that made it
    CLEARED: "half-made",  # left by a clearing that was killed; first, since a folder is renamed so before deletion
    ".partial": "half-made",
    ".detections.partial": "half-made",
    ".accuracy.json": "validation",
    ".detections.jsonl": "validation",
    ".latency.json": "latency table",
    ".labels": "label cache",
    ".images": "image hash",
    MODEL: "model",  # of a YOLO object, see `yolo/loaded.py`
    "": None,
    LOCK: "lock",  # last: a lock is deleted after all that it guards
}
NAMES = r"[0-9a-f]{16}|digits-v\d+(?:-\d+){2,3}|tensorrt_[\w.-]+\.timings"
OURS = re.compile(rf"({NAMES})({'|'.join(map(re.escape, KINDS))})")
MOST = 2**26  # bytes of a run's notes
OTHER = "not ours"
RUN = {NOTES, "results.json", "optimize.log"}  # a folder with one of these files is a run's folder


@dataclass(frozen=True)
class Thing:
    """One file or folder in the store.

    Attributes:
        path: its path.
        kind: the stage that made it, e.g. `Prune` or `OpenVino.export`, else what it is, e.g. `validation`.
        name: the name under which it is locked and listed in uses.txt; the two files of a validation share one name.
        size: bytes of all its files.
        used: when it was made, or when a run that uses it last wrote uses.txt, in seconds since 1970.
        needed: a run uses it or works on it, or this program did not make it; half-made work and locks are needed only
            while a process works on them.
    """

    path: Path
    kind: str
    name: str
    size: int
    used: float
    needed: bool


def contents(store: Path, runs: Sequence[Path]) -> list[Thing]:
    """Everything in `store`; `runs` are the folders below which runs lie.

    Raises:
        InputError: one of the folders does not exist, or `store` is not a store.
    """
    if not store.is_dir():
        raise InputError(f"--store {store} does not exist; give the folder that the runs were given as `store`.")
    if not is_store(store):
        raise InputError(f"--store {store} is not a store; give the folder that the runs were given as `store`.")
    if missing := [folder for folder in runs if not folder.is_dir()]:
        raise InputError(f"--runs {missing[0]} does not exist; give the folders that hold the runs.")
    noted, names, things = _noted(store, runs), set(), []
    for path in sorted(store.iterdir()):
        if ours := _ours(path):
            names.add(ours[1])
        else:
            with suppress(FileNotFoundError):  # a running validation has a temporary file
                count = 0 if path.is_symlink() else size(path)
                things.append(Thing(path, _kept(path), path.name, count, path.lstat().st_mtime, needed=True))
    return things + [thing for name in sorted(names) for thing in _things(store, name, noted, _is_held(store, name))]


def is_store(folder: Path) -> bool:
    """Whether the manifest says so; without one, as older versions left it, whether it is empty or holds a variant."""
    record = manifest.read(folder)
    return record.kind == STORE if record else not any(folder.iterdir()) or any(map(_is_variant, folder.iterdir()))


def _is_variant(path: Path) -> bool:
    ours = _ours(path)
    return ours is not None and KINDS[ours[2]] is None and (path / MANIFEST).is_file()


def check_store(store: Path) -> None:
    """Check that `store` can be used: it is new, empty, a store, or holds no file with a name that a store uses.

    Raises:
        InputError: it is none of these.
    """
    if store.exists() and not store.is_dir():
        raise InputError(f"store={store} is a file; give a folder.")
    if not store.exists() or is_store(store):
        return
    record = manifest.read(store)
    taken = [path.name for path in sorted(store.iterdir()) if _ours(path)]
    if record or taken:
        what = f"a {record.kind}" if record else f"{taken[0]}, which this program did not make"
        raise InputError(f"store={store} holds {what}; give another folder.")


def begin_store(store: Path) -> None:
    """Mark `store`, which was checked, as a store by a manifest."""
    if not (store / NAME).exists():
        manifest.begin(store, STORE)


def clear(store: Path, runs: Sequence[Path]) -> list[Thing]:
    """Delete what is not needed, and return what was deleted. Other runs may work meanwhile.

    Each thing is checked again under its lock, since a run may have begun to use it. The lock file itself is deleted
    last: a process that had opened it sees that the file has no name any more, and opens a new one. That needs
    filelock 4: versions before 3.21 don't check this, and those after it delete the file on release, which may by then
    be another process's lock.
    """
    gone, seen = [], {thing.path: thing for thing in contents(store, runs)}
    for name in sorted({thing.name for thing in seen.values() if not thing.needed}):
        with suppress(Timeout, InputError), lock_of(store / f"{name}{LOCK}", blocking=False):  # skip what is worked on
            for thing in _things(store, name, _noted(store, runs), held=False):
                if not thing.needed and _is_unchanged(thing):
                    _delete(thing)
                    gone.append(thing)
    return [thing for thing in gone if thing.path in seen]  # without the lock files that this function created


def folders(store: Path, runs: Sequence[Path]) -> tuple[list[Path], list[Path]]:
    """Folders of the runs that list what they use, and of runs of older versions, which don't."""
    listing: list[Path] = []
    silent: list[Path] = []
    for folder, names in _runs(store, runs):
        (listing if NOTES in names else silent).append(folder)
    return listing, silent


def used(store: Path, names: set[str]) -> int:
    """Bytes of all that lies in `store` under `names`, the lines of uses.txt; missing or invalid names count 0."""
    valid = [name for name in names if re.fullmatch(NAMES, name)]
    return sum(size(store / f"{name}{ending}") for name in valid for ending in KINDS)


def size(path: Path) -> int:
    """Bytes of a file, or of all files below a folder; links count 0."""
    total = 0
    for file in files(path) if path.is_dir() else [path]:
        with suppress(FileNotFoundError):  # a parallel job has just renamed or deleted it
            status = file.lstat()
            total += status.st_size if S_ISREG(status.st_mode) else 0
    return total


def _ours(path: Path) -> re.Match[str] | None:
    """Match of a name that runs write into a store, as (name, ending); None for other names and for links."""
    return None if is_link(path) else OURS.fullmatch(path.name)


def _kept(path: Path) -> str:
    """The kind of a path that is never cleared."""
    if path.name in (NAME, durations.NAME):
        return "manifest" if path.name == NAME else "durations"
    return "set aside" if path.suffix == ASIDE else OTHER


def _things(store: Path, name: str, noted: dict[str, float], held: bool) -> Iterator[Thing]:
    for ending, kind in KINDS.items():
        path = store / f"{name}{ending}"
        with suppress(FileNotFoundError):  # it does not exist, or a parallel job has just renamed it
            made = path.lstat().st_mtime
            if _ours(path):
                needed = held or (name in noted and kind not in ("half-made", "lock"))
                yield Thing(path, kind or _made_by(path), name, size(path), max(made, noted.get(name, 0)), needed)


def _made_by(path: Path) -> str:
    if path.suffix == ".timings":
        return "TensorRT timings"
    if path.name.startswith("digits"):
        return "data set"
    record = entry.read(path)
    return _stage(record.steps[-1]) if record else "damaged"


def _stage(step: str) -> str:
    """The stage in a step's identity, e.g. `Prune` and `OpenVino.export`."""
    if step.startswith("<bound method "):  # as versions up to 0.2 wrote it
        return re.split(r"[^\w.]", step.removeprefix("<bound method "), maxsplit=1)[0]
    kind, _, settings = step.partition("(")
    return re.split(r"[^\w.]", kind.rpartition(".")[2] + settings.rpartition(")")[2], maxsplit=1)[0]


def _is_held(store: Path, name: str) -> bool:
    lock = store / f"{name}{LOCK}"
    if not os.path.lexists(lock):
        return False
    try:
        with lock_of(lock, blocking=False):
            return False
    except (Timeout, InputError):  # also where it is not a lock file: then nothing of that name is deleted
        return True


def _runs(store: Path, runs: Sequence[Path]) -> Iterator[tuple[Path, set[str]]]:
    """Every run's folder with the names of its files; links are followed, and the store itself is skipped."""

    def unreadable(error: OSError) -> None:
        if not isinstance(error, FileNotFoundError):  # a run that can't be read may use anything
            raise error

    seen = {store.resolve()}
    for root in runs:
        for folder, inside, names in os.walk(root, onerror=unreadable, followlinks=True):
            if len(Path(folder).relative_to(root).parts) > DEEPEST:  # what lies deeper may be a run, too
                raise InputError(f"{root} has folders nested more than {DEEPEST} deep, e.g. {folder}; move it.")
            if Path(folder).resolve() in seen:
                inside.clear()
                continue
            seen.add(Path(folder).resolve())
            if not RUN.isdisjoint(names):
                inside[:] = [name for name in inside if name not in ("artefacts", "images", "pictures", ".hydra")]
                yield Path(folder), set(names)


def _noted(store: Path, runs: Sequence[Path]) -> dict[str, float]:
    """For each name that a run lists in uses.txt, when such a run last wrote that file."""
    noted: dict[str, float] = {}
    for folder, inside in _runs(store, runs):
        if NOTES in inside:
            with suppress(FileNotFoundError):  # a run that can't start deletes its folder
                notes = folder / NOTES
                when, lines = notes.stat().st_mtime, content(notes, MOST)
                if lines is None:
                    raise InputError(f"{notes} can't be read, so it is not known what that run uses; move that file.")
                names = filter(None, lines.decode("utf-8", "replace").split("\n"))
                noted |= {name: max(when, noted.get(name, 0)) for name in names}
    return noted


def _is_unchanged(thing: Thing) -> bool:
    """Whether `thing` may be deleted: a finished entry only as it was made, files, locks and half-made work by name."""
    if not thing.path.is_dir():
        return True
    if thing.kind == KINDS[".partial"]:
        return not any(file.is_dir() and not is_link(file) for file in files(thing.path))  # nested too deep to be ours
    sealed = manifest.is_sealed(thing.path)
    older = sealed is None and not os.path.lexists(thing.path / NAME)  # older versions sealed no entries
    return bool(read(thing.path)) if older else bool(sealed)


def _delete(thing: Thing) -> None:
    """Delete `thing`; a folder is renamed first, since one that is half deleted must not look like a finished one."""
    going = thing.path.with_name(f"{thing.name}{CLEARED}")
    if thing.path.is_dir():
        if going != thing.path and os.path.lexists(going):
            raise InputError(f"{going} is in the way of clearing and was changed by hand; move it.")
        shutil.rmtree(thing.path.rename(going))
    elif thing.kind == "lock":
        with suppress(PermissionError):  # Windows keeps it while this process holds it; filelock deletes it on release
            thing.path.unlink()
    else:
        thing.path.unlink()
