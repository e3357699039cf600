"""Opens what the single steps of `steps.py` are given: a checkpoint, an exported file, data, a runtime, an image."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from optimize.checks import check_fit
from optimize.compose import composed, words
from optimize.config import build
from optimize.dataset import Dataset
from optimize.errors import InputError, RuntimeUnavailable
from optimize.input_size import Size, size
from optimize.pruner.settings import Pruning
from optimize.runtime.session import Runtime
from optimize.runtime.torch import Torch
from optimize.variant import Variant
from optimize.yolo.cache_folder import keep_in
from optimize.yolo.checkpoint import check_size, load, task, usual_size
from optimize.yolo.dataset import resolve
from optimize.yolo.usable import open_model

Side = int | tuple[int, int] | None  # of an input in pixels: a square, or height and width; None: as it was trained
# Of files, the runtime that reads them; the name of a folder says its own, see `runtime_of`.
ENDINGS = {".pt": "torch", ".onnx": "onnxruntime", ".tflite": "litert", ".engine": "tensorrt"}


def open_checkpoint(model: str | Path, imgsz: Side) -> tuple[Path, Size]:
    """The path of a checkpoint, and the size of its input.

    Raises:
        InputError: it can't be used, or not at this size.
    """
    path, module = open_model(str(model))
    side = usual_size(module) if imgsz is None else _size(imgsz)
    check_size(f"model={model}", module, side)
    return path, side


def _size(imgsz: int | Sequence[int]) -> Size:
    return size(imgsz if isinstance(imgsz, int) else tuple(imgsz))


def build_pruning(path: Path, data: str | Path | None, pruner: str | None, keys: Mapping[str, Any]) -> Pruning:
    """The settings of the pruner called `pruner` with `keys`, as on the command line.

    Raises:
        InputError: a key or a value is not allowed, or there is no data for what is measured.
    """
    config = composed(words({"pruner": pruner or ("taylor" if data else "l2"), **keys}))
    if not data and config.pruner.scope == "measured":
        raise InputError(
            f"pruner={pruner} measures on labelled images; give data, e.g. data='my.yaml', or pruner='l2'."
        )
    pruning: Pruning = build(config.pruner, "pruner", data=open_data(path, data) if data else None, original=path)
    return pruning


def open_data(path: Path, data: str | Path) -> Dataset:
    """The data set called `data`, for the checkpoint at `path`.

    Raises:
        InputError: it can't be used, or not with this checkpoint.
    """
    keep_in(None)
    module = load(path)
    trained: Any = module.args  # to torch, any attribute of a module may be a tensor
    found = resolve(str(data), task(module), bool(trained.get("single_cls")))
    check_fit(f"model={path}", module, found, str(data), "data with the {} that the model was trained on")
    return found


def runtime_of(model: str | Path) -> str:
    """The name of the runtime that reads a file, by its ending; of torch for a name of ultralytics."""
    stem, _, kind = Path(model).name.rpartition("_")
    return stem.rpartition("_")[2] if kind == "model" else ENDINGS.get(Path(model).suffix.lower(), "torch")


def build_runtime(name: str) -> Runtime:
    """The runtime of that name, with its default settings.

    Raises:
        InputError: there is none.
        RuntimeUnavailable: it can't be used here.
    """
    if name == "torch":
        return Torch()
    runtime: Runtime = build(composed(words({"runtime": [name]})).runtime[name], f"runtime.{name}")
    if reason := runtime.unavailable():
        raise RuntimeUnavailable(f"runtime={name} can't be used on this machine: {reason}.")
    return runtime


def open_variant(model: str | Path, imgsz: Side) -> Variant:
    """What lies at a path, to be run in float32 wherever the file does not say int8.

    Raises:
        InputError: there is nothing, or it does not say its input size.
        RuntimeUnavailable: what reads it is not installed.
    """
    name = runtime_of(model)
    if name == "torch":
        path, side = open_checkpoint(model, imgsz)
        return Variant(path, name, "fp32", side)
    path = Path(model)
    if not path.exists():
        raise InputError(f"model={model} does not exist; give a file that optimize made, or a .pt checkpoint.")
    metadata = build_runtime(name).metadata(path)
    if "imgsz" not in metadata:
        raise InputError(
            f"model={model} does not say its input size; give a file that optimize or ultralytics exported."
        )
    return Variant(path, name, "fp32", _size(metadata["imgsz"]))


def check_image(image: np.ndarray, imgsz: Size) -> None:
    """Check type and shape of a calibration image.

    Raises:
        InputError: they are not those that a model with this input takes.
    """
    shape = (1, 3, imgsz.height, imgsz.width)
    if image.shape != shape or image.dtype != np.float32:
        raise InputError(f"an image is {image.dtype} of the shape {image.shape}; give float32 of {shape}, RGB, 0 to 1.")
