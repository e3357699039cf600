"""Which files of a folder are ours: nothing else is ever deleted or overwritten there.

Every folder that a command writes into holds a manifest, `.optimize.json`: what the folder is, whether its work has
ended, and the SHA-256 of each file that was written. A file is deleted or overwritten only while it still is what the
manifest says. Files that grow (logs) and records that are replaced all the time (job.json) are listed when the work has
ended; until then their names in a folder with a manifest are proof enough, since they are only appended to or replaced
by what continues them.
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
    """What we say of a folder.

    Attributes:
        kind: `run`, `sweep`, `store`, or `entry` of a store.
        finished: the work that the folder is for has ended.
        files: SHA-256 in hex of each file that we wrote, by its path below the folder, with forward slashes.
    """

    kind: str
    finished: bool = False
    files: dict[str, str] = field(default_factory=dict)


MANIFEST = TypeAdapter(Manifest)


def read(folder: Path) -> Manifest | None:
    """The manifest of `folder`; None where there is none, or none that can be read."""
    try:
        return MANIFEST.validate_json(content(folder / NAME, MOST) or b"")
    except ValidationError:
        return None


def begin(folder: Path, kind: str) -> None:
    """Make `folder` where it is missing, and say that it is ours and grows; other files that are listed stay so."""
    folder.mkdir(parents=True, exist_ok=True)
    manifest = read(folder) or Manifest(kind)
    files = {path: sha256 for path, sha256 in manifest.files.items() if path not in GROWING}
    _write(folder, replace(manifest, finished=False, files=files))


def finish(folder: Path) -> None:
    """Say that the work in `folder` has ended, and list the files that grew until now.

    Raises:
        InputError: the manifest was deleted or damaged meanwhile.
    """
    _write(folder, replace(_with_grown(folder), finished=True))


def rest(folder: Path) -> None:
    """List the files that grew until now, since nobody works in `folder` any more.

    Raises:
        InputError: as `finish`.
    """
    _write(folder, _with_grown(folder))


def _with_grown(folder: Path) -> Manifest:
    manifest = read(folder)
    if manifest is None:
        raise InputError(
            f"{folder / NAME} was deleted or changed during the work, so nothing says which files there are ours; "
            "leave it alone, and give the command again."
        )
    grown = {name: _sha256(folder / name) for name in sorted(GROWING) if (folder / name).is_file()}
    return replace(manifest, files=manifest.files | grown)


def seal(folder: Path) -> None:
    """Say that `folder`, an entry of a store that holds nothing but what we wrote, is complete."""
    files = {file.relative_to(folder).as_posix(): _sha256(file) for file in _files(folder)}
    _write(folder, Manifest(ENTRY, finished=True, files=files))


def is_sealed(folder: Path) -> bool | None:
    """Whether everything in an entry of a store is as it was when it was complete; None where nothing says so."""
    known = read(folder)
    return None if known is None else not altered(folder, [name for name in os.listdir(folder) if name != NAME])


def altered(folder: Path, names: Iterable[str]) -> list[str]:
    """The files below `folder`, in its entries `names`, that are not ours, or no longer as we wrote them."""
    manifest = read(folder) or Manifest("")
    files = [file for name in names for file in [*_files(folder / name), *_empty_folders(folder / name)]]
    paths = sorted(file.relative_to(folder).as_posix() for file in files)
    return [path for path in paths if not _is_ours(folder, path, manifest)]


def remove(folder: Path, names: Sequence[str]) -> None:
    """Delete what we wrote into `folder`, in its entries `names`, but what still grows, and folders left empty.

    Raises:
        InputError: a file there is not as we wrote it; nothing is deleted.
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
    """An empty folder inside `folder`; at the end all that was put there moves into `folder`, or nothing.

    Raises:
        InputError: it would overwrite a file that is not as we wrote it; nothing has moved.
    """
    with TemporaryDirectory(dir=folder, prefix=PARTIAL) as partial:
        yield Path(partial)
        place(Path(partial), folder)


def place(partial: Path, folder: Path) -> None:
    """As `placing`, for files that lie in `partial` already."""
    manifest = read(folder) or Manifest("")
    new = {file.relative_to(partial).as_posix(): _sha256(file) for file in _files(partial)}
    for path in new:
        if os.path.lexists(folder / path) and not _is_ours(folder, path, manifest):
            raise InputError(_refusal(folder / path))
    _write(folder, replace(manifest, kind=manifest.kind or RUN, files=manifest.files | new))
    _move(partial, folder)


def _move(source: Path, target: Path) -> None:
    """Everything in `source` to `target`: folders that are new there as a whole, files one by one."""
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
    """We leave none behind."""
    empty = []
    for inside, folders, names in os.walk(path):
        empty += [Path(inside)] if not folders and not names else []
        if len(Path(inside).relative_to(path).parts) > DEEPEST:  # `_files` tells these
            folders.clear()
    return empty


def _remove_empty(inside: Path, folder: Path) -> None:
    """`inside` and the folders above it, below `folder`, as far as nothing is left in them."""
    while inside != folder and not os.listdir(inside):
        inside.rmdir()
        inside = inside.parent


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return file_digest(stream, "sha256").hexdigest()


def _write(folder: Path, manifest: Manifest) -> None:
    """Whole or not at all, since it is the proof for everything else in `folder`."""
    partial = folder / f"{NAME}.{uuid4().hex}"  # several processes begin one store
    partial.write_text(json.dumps(asdict(manifest), indent=1), encoding="utf-8")
    move(partial, folder / NAME)
