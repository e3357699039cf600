"""A checkpoint of a stranger is read: its classes are made, never called, and it holds nothing that would be.

torch reads only allowed classes, but a pickle may *call* them with any arguments, and ultralytics allows all its own,
some of which fetch (`TorchVision`, `DistillationModel`). An honest checkpoint never calls one: pickle makes a module
without its constructor and gives it its state. Importing this module puts that between ultralytics and torch.

Source of the protocol: https://docs.python.org/3/library/pickle.html, https://docs.pytorch.org/docs/stable/notes/serialization.html
"""

from pathlib import Path
from threading import RLock
from typing import Any
from zipfile import ZipFile, is_zipfile

import torch
from ultralytics.nn import tasks

from optimize.host.confined import confined
from optimize.yolo.content import check
from optimize.yolo.uncalled import Refused, member, uncalled

UNPACKED, SPARE = 10, 100 * 2**20  # times its own size, and bytes beyond that, which an archive may hold at most

_alone = RLock()  # what may be called holds for the whole process


def load(path: str | Path, **arguments: Any) -> Any:
    """`torch.load(path, weights_only=True, **arguments)`, which calls no class and returns no callable.

    Raises:
        Refused: it would call one, it holds one, or it is small and stands for very much.
    """
    check_archive(path)
    with _alone, confined(), uncalled():
        content = torch.load(path, weights_only=True, **arguments)
    check(content)
    return content


def check_archive(path: str | Path) -> None:
    """Raises Refused where a zip stands for much more than its size; torch itself compresses nothing."""
    if is_zipfile(path):
        with ZipFile(path) as archive:
            unpacked = sum(entry.file_size for entry in archive.infolist())
        if unpacked > UNPACKED * Path(path).stat().st_size + SPARE:
            raise Refused(f"is an archive that unpacks to {unpacked / 1e9:.1f} GB")


def _torch_load(*arguments: Any, **named: Any) -> Any:
    """In place of ultralytics' own, which it calls with `weights_only` only where a file is not trusted."""
    if not named.pop("weights_only", False):
        return _stock_load(*arguments, **named)
    return load(*arguments, **named)


_stock_load, tasks.torch_load = tasks.torch_load, _torch_load
_known = tasks._SafeLoad._build
tasks._SafeLoad._build = staticmethod(lambda: _known() | {"builtins.getattr": member})
