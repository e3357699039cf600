"""Keep ultralytics' label caches in the store, and read none that comes with a data set.

ultralytics keeps what it found in the labels as `labels/train.cache`, beside the user's labels, and loads the one that
lies there: a pickle, which can run any code. Importing this module redirects both, here and in every process that
imports it. Ours hold plain values and arrays; one that names anything else isn't read, and is made anew.
"""

import atexit
import logging
import os
import pickle
from contextlib import suppress
from functools import cache
from hashlib import sha256
from importlib import metadata
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp

from ultralytics.data import dataset

from optimize.host.files import move
from optimize.store.held import held

log = logging.getLogger(__name__)

FOLDER = "YOLO_OPTIMIZE_LABEL_CACHES"  # in the environment, so that processes that start from here have it too
SUFFIX = ".labels"
READERS = ("pillow", "pi-heif", "opencv-python", "opencv-python-headless", "yolo-optimize")
ARRAYS = {("multiarray", "_reconstruct"), ("multiarray", "scalar"), ("numeric", "_frombuffer")}
KNOWN = {(f"numpy.{core}.{module}", name) for core in ("core", "_core") for module, name in ARRAYS} | {
    *(("numpy", "ndarray"), ("numpy", "dtype"))
}

_temporary: set[str] = set()  # folders of this process


class _Plain(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> object:
        if (module, name) not in KNOWN:
            raise pickle.UnpicklingError(f"{module}.{name} is not allowed in a label cache")
        return super().find_class(module, name)


def keep_in(store: Path | None) -> None:
    """From now on keep label caches in `store`, with those that were kept meanwhile in the folder that None means.

    That is a temporary one, which ends with this process, for as long as nothing may be written into a store.
    """
    before = os.environ.get(FOLDER)
    os.environ[FOLDER] = str(store.absolute()) if store else _temporary_folder()
    for file in Path(before).glob(f"*{SUFFIX}") if store and before in _temporary else ():
        _keep(store, file.stem, file.read_bytes())


def load(path: Path) -> dict:
    """What `save` kept for `path`.

    Raises:
        FileNotFoundError: there is nothing.
        UnpicklingError: it holds more than plain values and arrays.
    """
    folder, name = _place(path)
    with held(folder, name):
        file = folder / f"{name}{SUFFIX}"
        if not file.is_file():
            log.info("checking every image and label of %s, once", path.parent)
        with file.open("rb") as content:
            return _Plain(content).load()


def save(prefix: str, path: Path, x: dict, version: str) -> None:
    """Keep the dictionary `x` that ultralytics would write to `path`, with its `version` in it."""
    x["version"] = version
    _keep(*_place(path), pickle.dumps(x))


def _keep(folder: Path, name: str, content: bytes) -> None:
    """Whole or not at all."""
    with held(folder, name):
        partial = folder / f"{name}.partial"
        partial.write_bytes(content)
        move(partial, folder / f"{name}{SUFFIX}")


def content_hash(paths: list[str]) -> str:
    """In place of ultralytics' `get_hash`: what label files hold, not their dates, which an archive may make equal.

    What decides whether an image can be read takes part, so that one that was left out is looked at again.
    """
    total = sha256(_readers().encode())
    for path in paths:
        total.update(sha256(os.fsencode(path)).digest() + _state(path))
    return total.hexdigest()


@cache
def _readers() -> str:
    installed = []
    for package in READERS:
        with suppress(metadata.PackageNotFoundError):
            installed.append(f"{package} {metadata.version(package)}")
    return ", ".join(installed)


def _state(path: str) -> bytes:
    try:
        if path.endswith(".txt"):
            with open(path, "rb") as file:
                return sha256(file.read()).digest()
        stat = os.stat(path)
    except (OSError, ValueError):  # there is no such file, or it is a setting that ultralytics hashes along
        return b""
    return f"{stat.st_size}:{stat.st_mtime_ns}".encode()


def _place(path: Path) -> tuple[Path, str]:
    """Folder and name in place of `path`."""
    if FOLDER not in os.environ:
        keep_in(None)
    return Path(os.environ[FOLDER]), sha256(str(path).encode()).hexdigest()[:16]


def _temporary_folder() -> str:
    folder = mkdtemp(prefix="yolo-optimize-")
    atexit.register(rmtree, folder, ignore_errors=True)
    _temporary.add(folder)
    return folder


_load_or_scan = dataset.YOLODataset._load_or_scan_cache


def _load_or_scan_apart(self: dataset.YOLODataset, cache_path: Path, cache_hash: str) -> tuple[dict, bool]:
    """Lists of images whose labels share a folder would overwrite each other's cache."""
    return _load_or_scan(self, cache_path.with_name(cache_hash), cache_hash)


dataset.YOLODataset._load_or_scan_cache = _load_or_scan_apart
dataset.load_dataset_cache_file = load
dataset.save_dataset_cache_file = save
dataset.get_hash = content_hash
