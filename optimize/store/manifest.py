"""Records which files of a folder this program wrote; it never deletes or overwrites any other file there.

Every folder that a command writes into holds a manifest, `.optimize.json`: the kind of folder, whether its work has
ended, and the SHA-256 of each file that was written. A file is deleted or overwritten only while its SHA-256 is that of
the manifest. Files that grow (logs) and records that are rewritten often (job.json) are listed when the work has ended.
Until then such a name in a folder with a manifest is sufficient, since these files are only appended to or replaced by
their newer state.
"""

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from hashlib import file_digest
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import uuid4

from pydantic import TypeAdapter, ValidationError

from optimize.errors import InputError
from optimize.host.files import move
from optimize.inside import DEEPEST, content, files, is_link

NAME = ".optimize.json"
RUN, SWEEP, STORE, ENTRY = "run", "sweep", "store", "entry"
GROWING = {
    *("optimize.log", "uses.txt", "work.txt", "output.txt", "optuna.log"),
    *("job.json", "sweep.json", "multirun.yaml", ".lock", ".hydra/lock"),
    *(f".hydra/{name}.yaml" for name in ("config", "hydra", "overrides")),
}
PARTIAL = ".partial-"
MOST = 2**28  # bytes of a manifest, which lists every file


@dataclass(frozen=True)
class Manifest:
    """The manifest of a folder.

    Attributes:
        kind: `run`, `sweep`, `store`, or `entry` of a store.
        finished: whether the work in this folder has ended.
        files: SHA-256 in hex of each file that this program wrote, by its path below the folder, with forward slashes.
    """

    kind: str
    finished: bool = False
    files: dict[str, str] = field(default_factory=dict)


MANIFEST = TypeAdapter(Manifest)


def read(folder: Path) -> Manifest | None:
    """The manifest of `folder`; None where it is missing or invalid."""
    try:
        return MANIFEST.validate_json(content(folder / NAME, MOST) or b"")
    except ValidationError:
        return None


def begin(folder: Path, kind: str) -> None:
    """Create `folder` if it is missing, and mark it as ours and unfinished; files that it lists stay listed."""
    folder.mkdir(parents=True, exist_ok=True)
    manifest = read(folder) or Manifest(kind)
    files = {path: sha256 for path, sha256 in manifest.files.items() if path not in GROWING}
    _write(folder, replace(manifest, finished=False, files=files))


def finish(folder: Path) -> None:
    """Mark the work in `folder` as finished, and list the files that grew until now.

    Raises:
        InputError: the manifest was deleted or damaged meanwhile.
    """
    _write(folder, replace(_with_grown(folder), finished=True))


def rest(folder: Path) -> None:
    """List the files that grew until now, without marking the work as finished; no process works in `folder` any more.

    Raises:
        InputError: as `finish`.
    """
    _write(folder, _with_grown(folder))


def _with_grown(folder: Path) -> Manifest:
    manifest = read(folder)
    if manifest is None:
        raise InputError(
            f"{folder / NAME} was deleted or changed during the work, so it is not known which files there "
            "this program wrote; leave that file unchanged, and give the command again."
        )
    grown = {name: _sha256(folder / name) for name in sorted(GROWING) if (folder / name).is_file()}
    return replace(manifest, files=manifest.files | grown)


def seal(folder: Path) -> None:
    """Mark `folder`, an entry of a store, as complete; every file in it was written by this program."""
    files = {file.relative_to(folder).as_posix(): _sha256(file) for file in _files(folder)}
    _write(folder, Manifest(ENTRY, finished=True, files=files))


def is_sealed(folder: Path) -> bool | None:
    """Whether all files of a store's entry are as they were when it was sealed; None where it was never sealed."""
    if read(folder) is None:
        return None
    return not altered(folder, [name for name in os.listdir(folder) if name != NAME])


def altered(folder: Path, names: Iterable[str]) -> list[str]:
    """The files below `folder`, in its files and folders `names`, that this program did not write as they are now."""
    manifest = read(folder) or Manifest("")
    files = [file for name in names for file in [*_files(folder / name), *_empty_folders(folder / name)]]
    paths = sorted(file.relative_to(folder).as_posix() for file in files)
    return [path for path in paths if not _is_ours(folder, path, manifest)]


def remove(folder: Path, names: Sequence[str]) -> None:
    """Delete what this program wrote in `names`, files and folders of `folder`, and folders that are left empty.

    Files that still grow are kept.

    Raises:
        InputError: a file there is not as this program wrote it; nothing is deleted.
    """
    if changed := altered(folder, names):
        raise InputError(_refusal(folder / changed[0]))
    manifest = read(folder) or Manifest("")
    for file in [file for name in names for file in _files(folder / name)]:
        if _is_listed(folder, file.relative_to(folder).as_posix(), manifest):
            file.unlink()
            _remove_empty(file.parent, folder)


@contextmanager
def placing(folder: Path) -> Iterator[Path]:
    """An empty temporary folder inside `folder`; at the end all files in it are moved into `folder`, or none.

    Raises:
        InputError: a move would overwrite a file that this program did not write; nothing was moved.
    """
    with TemporaryDirectory(dir=folder, prefix=PARTIAL) as partial:
        yield Path(partial)
        place(Path(partial), folder)


def place(partial: Path, folder: Path) -> None:
    """Move all files of `partial` into `folder`, or none, and list them in the manifest; raises as `placing`."""
    manifest = read(folder) or Manifest("")
    new = {file.relative_to(partial).as_posix(): _sha256(file) for file in _files(partial)}
    for path in new:
        if os.path.lexists(folder / path) and not _is_ours(folder, path, manifest):
            raise InputError(_refusal(folder / path))
    _write(folder, replace(manifest, kind=manifest.kind or RUN, files=manifest.files | new))
    _move(partial, folder)


def _move(source: Path, target: Path) -> None:
    """Move everything in `source` to `target`: folders that are new there as a whole, files one by one."""
    for entry in sorted(source.iterdir()):
        place = target / entry.name
        if entry.is_dir() and place.is_dir():
            _move(entry, place)
        elif _files(entry):
            move(entry, place)


def _refusal(file: Path) -> str:
    return f"{file} is not as this program wrote it, so it stays; move it elsewhere and give the command again."


def _is_ours(folder: Path, path: str, manifest: Manifest) -> bool:
    if path in manifest.files:
        return _is_listed(folder, path, manifest)
    return bool(manifest.kind) and path in GROWING and not (folder / path).is_symlink()


def _is_listed(folder: Path, path: str, manifest: Manifest) -> bool:
    file = folder / path
    return path in manifest.files and not file.is_symlink() and file.is_file() and _sha256(file) == manifest.files[path]


def _files(path: Path) -> list[Path]:
    """Every file and link below `path`, or `path` itself; links are not followed."""
    if is_link(path) or not path.is_dir():
        return [path] if os.path.lexists(path) else []
    return list(files(path))


def _empty_folders(path: Path) -> list[Path]:
    """Folders below `path` that hold nothing; this program leaves none, so a user made them."""
    empty = []
    for inside, folders, names in os.walk(path):
        empty += [Path(inside)] if not folders and not names else []
        if len(Path(inside).relative_to(path).parts) > DEEPEST:  # `_files` reports what lies deeper
            folders.clear()
    return empty


def _remove_empty(inside: Path, folder: Path) -> None:
    """Delete `inside` and its parents below `folder`, as long as they are empty."""
    while inside != folder and not os.listdir(inside):
        inside.rmdir()
        inside = inside.parent


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return file_digest(stream, "sha256").hexdigest()


def _write(folder: Path, manifest: Manifest) -> None:
    """Write the manifest atomically, since it decides about every other file in `folder`."""
    partial = folder / f"{NAME}.{uuid4().hex}"  # a name of its own, since several processes may begin one store
    partial.write_text(json.dumps(asdict(manifest), indent=1), encoding="utf-8")
    move(partial, folder / NAME)
