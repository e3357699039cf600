"""What lies in a store, what of it no run needs, and how that goes."""

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
from optimize.store import entry, manifest
from optimize.store.apply import read
from optimize.store.aside import ASIDE
from optimize.store.entry import MANIFEST
from optimize.store.held import NOTES, lock_of
from optimize.store.manifest import NAME, STORE

LOCK, CLEARED = ".lock", ".cleared"
KINDS = {  # by the end of a name; None: what made it says its manifest
    CLEARED: "half-made",  # of a clearing that was killed; first, since what goes takes this name
    ".partial": "half-made",
    ".detections.partial": "half-made",
    ".accuracy.json": "validation",
    ".detections.jsonl": "validation",
    ".labels": "label cache",
    "": None,
    LOCK: "lock",  # last, since it goes when all that it guards is gone
}
NAMES = r"[0-9a-f]{16}|digits-v\d+-\d+-\d+|tensorrt_[\w.-]+\.timings"
OURS = re.compile(rf"({NAMES})({'|'.join(map(re.escape, KINDS))})")
MOST = 2**26  # bytes of a run's notes
OTHER = "not ours"
RUN = {NOTES, "results.json", "optimize.log"}  # a folder with one of them is a run's


@dataclass(frozen=True)
class Thing:
    """One file or folder that lies in the store.

    Attributes:
        path: where.
        kind: the stage that made it, e.g. `Prune` or `OpenVino.export`, or else what it is, e.g. `validation`.
        name: under which it is locked and noted; a validation has two files of one name.
        size: bytes of all its files.
        used: when it was made or a run last noted something with it, in seconds since 1970.
        needed: a run notes it or is at work on it, or it isn't ours; half-made work and locks only while somebody is
            at work.
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
        InputError: one of the folders does not exist, or `store` is none.
    """
    if not store.is_dir():
        raise InputError(f"--store {store} does not exist; give the folder that runs had as their `store`.")
    if not is_store(store):
        raise InputError(f"--store {store} is no store of ours; give the folder that runs had as their `store`.")
    if missing := [folder for folder in runs if not folder.is_dir()]:
        raise InputError(f"--runs {missing[0]} does not exist; give the folders below which runs lie.")
    noted, names, things = _noted(store, runs), set(), []
    for path in sorted(store.iterdir()):
        if ours := _ours(path):
            names.add(ours[1])
        else:
            with suppress(FileNotFoundError):  # a validation that is going on has a file for a moment
                held = 0 if path.is_symlink() else size(path)
                things.append(Thing(path, _kept(path), path.name, held, path.lstat().st_mtime, needed=True))
    return things + [thing for name in sorted(names) for thing in _things(store, name, noted, _is_held(store, name))]


def is_store(folder: Path) -> bool:
    """Whether its manifest says so; of an older version, which wrote none, whether a stage's work lies in it."""
    known = manifest.read(folder)
    return known.kind == STORE if known else not any(folder.iterdir()) or any(map(_is_variant, folder.iterdir()))


def _is_variant(path: Path) -> bool:
    ours = _ours(path)
    return ours is not None and KINDS[ours[2]] is None and (path / MANIFEST).is_file()


def check_store(store: Path) -> None:
    """A store is new, empty, ours, or a folder in which nothing has a name that we would write.

    Raises:
        InputError: it is none of these.
    """
    if store.exists() and not store.is_dir():
        raise InputError(f"store={store} is a file; give a folder.")
    if not store.exists() or is_store(store):
        return
    known = manifest.read(store)
    taken = [path.name for path in sorted(store.iterdir()) if _ours(path)]
    if known or taken:
        what = f"a {known.kind}" if known else f"{taken[0]}, which this program did not make"
        raise InputError(f"store={store} holds {what}; give another folder.")


def begin_store(store: Path) -> None:
    """Say that `store`, which was checked, is one."""
    if not (store / NAME).exists():
        manifest.begin(store, STORE)


def clear(store: Path, runs: Sequence[Path]) -> list[Thing]:
    """Delete what is not needed, and return that. Runs may go on meanwhile.

    What goes is looked at again while its lock is held, since a run may have found it just before. The lock's file
    goes too, as the last thing: who had opened it before sees that it has no name any more, and takes a new one. That
    needs filelock 4: before 3.21 nobody looks, and after it who lets go deletes the file, by then another's.
    """
    gone, seen = [], {thing.path: thing for thing in contents(store, runs)}
    for name in sorted({thing.name for thing in seen.values() if not thing.needed}):
        with suppress(Timeout, InputError), lock_of(store / f"{name}{LOCK}", blocking=False):  # who holds it is at work
            for thing in _things(store, name, _noted(store, runs), held=False):
                if not thing.needed and _is_unchanged(thing):
                    _delete(thing)
                    gone.append(thing)
    return [thing for thing in gone if thing.path in seen]  # not the locks that were made here


def folders(store: Path, runs: Sequence[Path]) -> tuple[list[Path], list[Path]]:
    """Of the runs that note what they use, and of those that don't, as older versions left them."""
    both: tuple[list[Path], list[Path]] = [], []
    for folder, names in _runs(store, runs):
        both[NOTES not in names].append(folder)
    return both


def used(store: Path, names: set[str]) -> int:
    """Bytes of all that lies in `store` under `names`, as runs note them; what is gone, or can't be there, has none."""
    ours = [name for name in names if re.fullmatch(NAMES, name)]
    return sum(size(store / f"{name}{ending}") for name in ours for ending in KINDS)


def size(path: Path) -> int:
    """Bytes of a file, or of all files below a folder; links below it have none."""
    total = 0
    for file in files(path) if path.is_dir() else [path]:
        with suppress(FileNotFoundError):  # a parallel job has just finished or dropped it
            found = file.lstat()
            total += found.st_size if S_ISREG(found.st_mode) else 0
    return total


def _ours(path: Path) -> re.Match[str] | None:
    """Name and ending of what runs put into a store; None for all else, and for a link, which leads out of it."""
    return None if is_link(path) else OURS.fullmatch(path.name)


def _kept(path: Path) -> str:
    """What never is cleared."""
    return "manifest" if path.name == NAME else "set aside" if path.suffix == ASIDE else OTHER


def _things(store: Path, name: str, noted: dict[str, float], held: bool) -> Iterator[Thing]:
    for ending, kind in KINDS.items():
        path = store / f"{name}{ending}"
        with suppress(FileNotFoundError):  # it was none, or a job that goes on has just finished it
            made = path.lstat().st_mtime
            if _ours(path):
                needed = held or (name in noted and kind not in ("half-made", "lock"))
                yield Thing(path, kind or _made_by(path), name, size(path), max(made, noted.get(name, 0)), needed)


def _made_by(path: Path) -> str:
    if path.suffix == ".timings":
        return "TensorRT timings"
    if path.name.startswith("digits"):
        return "data set"
    found = entry.read(path)
    return re.split(r"[^\w.]", found.steps[-1].removeprefix("<bound method "), maxsplit=1)[0] if found else "damaged"


def _is_held(store: Path, name: str) -> bool:
    lock = store / f"{name}{LOCK}"
    if not os.path.lexists(lock):
        return False
    try:
        with lock_of(lock, blocking=False):
            return False
    except (Timeout, InputError):  # what is no lock of ours may be anything, so what it would guard stays
        return True


def _runs(store: Path, runs: Sequence[Path]) -> Iterator[tuple[Path, set[str]]]:
    """Every run's folder with the names of its files, also where a link leads; a store holds none."""

    def unreadable(error: OSError) -> None:
        if not isinstance(error, FileNotFoundError):  # a run that can't be read may use anything
            raise error

    seen = {store.resolve()}
    for root in runs:
        for folder, inside, names in os.walk(root, onerror=unreadable, followlinks=True):
            if len(Path(folder).relative_to(root).parts) > DEEPEST:  # the same
                raise InputError(f"{root} has more than {DEEPEST} folders in one another, e.g. {folder}; move it.")
            if Path(folder).resolve() in seen:
                inside.clear()
                continue
            seen.add(Path(folder).resolve())
            if not RUN.isdisjoint(names):
                inside[:] = [name for name in inside if name not in ("artefacts", "images", "pictures", ".hydra")]
                yield Path(folder), set(names)


def _noted(store: Path, runs: Sequence[Path]) -> dict[str, float]:
    """By name, when a run last noted something with it."""
    noted: dict[str, float] = {}
    for folder, inside in _runs(store, runs):
        if NOTES in inside:
            with suppress(FileNotFoundError):  # a run that can't start takes its folder away
                notes = folder / NOTES
                when, lines = notes.stat().st_mtime, content(notes, MOST)
                if lines is None:
                    raise InputError(f"{notes} is no file of ours, so what that run uses is not known; move it.")
                names = filter(None, lines.decode("utf-8", "replace").split("\n"))
                noted |= {name: max(when, noted.get(name, 0)) for name in names}
    return noted


def _is_unchanged(thing: Thing) -> bool:
    """What was damaged, changed or added by hand is not ours to delete; files, locks and half-made work go by name."""
    if not thing.path.is_dir():
        return True
    if thing.kind == KINDS[".partial"]:
        return not any(file.is_dir() and not is_link(file) for file in files(thing.path))  # too deep to be half of ours
    sealed = manifest.is_sealed(thing.path)
    older = sealed is None and not os.path.lexists(thing.path / NAME)  # which sealed nothing
    return bool(read(thing.path)) if older else bool(sealed)


def _delete(thing: Thing) -> None:
    """Whole or not at all: a folder that is half deleted must not look like a finished one."""
    going = thing.path.with_name(f"{thing.name}{CLEARED}")
    if thing.path.is_dir():
        if going != thing.path and os.path.lexists(going):
            raise InputError(f"{going} is in the way of clearing, and not as this program left it; move it.")
        shutil.rmtree(thing.path.rename(going))
    elif thing.kind == "lock":
        with suppress(PermissionError):  # Windows keeps it while it is held, which is here; there filelock deletes it
            thing.path.unlink()
    else:
        thing.path.unlink()
