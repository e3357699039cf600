"""What many tests start from is made once in a test run, by whichever worker needs it first, and copied to each."""

import pickle
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import replace
from functools import wraps
from hashlib import sha256
from pathlib import Path

import pytest
from filelock import FileLock
from ultralytics.nn import tasks

from optimize.runtime.ncnn import Ncnn
from optimize.runtime.onnxruntime import OnnxRuntime
from optimize.runtime.openvino import OpenVino
from optimize.store.apply import digest
from optimize.variant import Variant
from optimize.yolo import checkpoint

REMEMBERED = 8  # checkpoints

OWN = tempfile.TemporaryDirectory(prefix="once")
folder = Path(OWN.name)  # conftest puts one in its place that the workers of a test run share


def copied(key: str, make: Callable[[Path], None], target: Path, stem: str) -> Path:
    """A copy in `target` of the file or folder `made*` that `make` writes into an empty folder, called `stem*`."""
    place = folder / sha256(key.encode()).hexdigest()[:24]
    with FileLock(f"{place}.lock"):
        if not place.exists():
            scratch = Path(tempfile.mkdtemp(dir=folder))
            make(scratch)
            scratch.rename(place)
    (kept,) = place.iterdir()
    path = target / f"{stem}{kept.name.removeprefix('made')}"
    if kept.is_dir():
        shutil.copytree(kept, path, dirs_exist_ok=True)
    else:
        shutil.copy(kept, path)
    return path


def export_once(patch: pytest.MonkeyPatch) -> None:
    """An export depends on the runtime, the weights and the input size alone; it takes seconds, a copy none."""
    for runtime in (OnnxRuntime, OpenVino, Ncnn):
        patch.setattr(runtime, "export", _once(runtime.export))


def _once(export: Callable[..., Variant]) -> Callable[..., Variant]:
    @wraps(export)
    def copy(self, variant: Variant, target: Path) -> Variant:
        def make(scratch: Path) -> None:
            made = export(self, variant, scratch).path
            made.rename(scratch / f"made{made.name.removeprefix(variant.path.stem)}")

        key = f"{self.info.name} {digest(variant.path)} {variant.imgsz}"
        path = copied(key, make, target, variant.path.stem)
        return replace(variant, path=path, runtime=self.info.name)

    return copy


def read_once(patch: pytest.MonkeyPatch) -> None:
    """A command reads the same few checkpoints thirty times, a third of the time of a small one; a copy is quick."""
    stock, known = checkpoint.load_checkpoint, dict[tuple[str, bool], bytes]()

    def load(path: Path | str) -> tuple[checkpoint.BaseModel, dict]:  # a trainer gives text
        if not Path(path).is_file():
            return stock(path)
        key = digest(Path(path)), tasks.SAFE_LOAD
        if len(known) == REMEMBERED and key not in known:
            known.clear()
        if key not in known:
            known[key] = pickle.dumps(stock(path))  # deepcopy would lose the attributes of a parameter
        model, beside = pickle.loads(known[key])
        model.pt_path = str(path)
        return model, beside

    patch.setattr(checkpoint, "load_checkpoint", load)
