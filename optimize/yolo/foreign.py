"""What a file is that can't be loaded as a checkpoint of ultralytics 8, as the end of a sentence."""

import re
import zipfile
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path

import torch
from torch.serialization import get_unsafe_globals_in_checkpoint
from ultralytics import __version__ as ultralytics_version
from ultralytics.nn import tasks

from optimize.errors import described
from optimize.host.confined import Confined
from optimize.yolo import stranger
from optimize.yolo.claims import TRUST, Unusable
from optimize.yolo.uncalled import Refused

EXPORTED = {  # by suffix: what a float .pt was exported to
    ".onnx": "ONNX file",
    ".engine": "TensorRT engine",
    ".xml": "OpenVINO file",
    ".torchscript": "TorchScript file",
    ".tflite": "TFLite file",
    ".pb": "TensorFlow graph",
    ".mlpackage": "Core ML package",
    ".mlmodel": "Core ML model",
    ".param": "ncnn file",
    ".mnn": "MNN file",
    ".rknn": "RKNN file",
    ".pte": "ExecuTorch file",
    ".hef": "Hailo file",
}
FOLDERS = {  # by what lies in them
    "*.xml": "OpenVINO folder",
    "*.param": "ncnn folder",
    "saved_model.pb": "TensorFlow SavedModel",
    "*.pdmodel": "PaddlePaddle folder",
    "*.rknn": "RKNN folder",
    "*.tflite": "TFLite folder",
}
OLD = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."  # how torch.save began, before it wrote archives
REPOSITORIES = {  # by classes that only they have
    r"models\.(yolo|common)\.(IDetect|IAuxDetect|IKeypoint|IBin|SPPCSPC|RepConv|MP)": "YOLOv7's own repository",
    r"models\.(yolo|common)\.(D?DDetect|Dual\w+|Triple\w+|RepNCSP\w*|ADown|Silence)": "YOLOv9's own repository",
    r"yolov6\.": "YOLOv6's own repository",
    r"yolox\.": "YOLOX",
    r"super_gradients\.": "SuperGradients (YOLO-NAS)",
    r"mm(det|yolo|engine|cv)\.": "OpenMMLab",
}


def what_instead(path: Path) -> str:
    """What to give in place of a `path` that is no .pt."""
    found = (kind for pattern, kind in FOLDERS.items() if any(path.glob(pattern))) if path.is_dir() else ()
    kind = EXPORTED.get(path.suffix.lower()) or next(iter(found), None)
    if kind:
        return f"give the float .pt that this {kind} was exported from"
    if path.is_dir():
        return "it is a folder, so give the file, e.g. weights/best.pt in the folder of a training"
    if path.suffix.lower() in (".yaml", ".yml"):
        return "a yaml describes a network without weights, so give the .pt that was trained from it"
    if path.suffix.lower() in (".safetensors", ".pth", ".ckpt", ".h5", ".keras", ".weights"):
        return f"a {path.suffix} holds weights of another maker, so give a .pt that ultralytics 8 trained"
    return "give a .pt checkpoint of ultralytics 8"


def reason(path: Path, error: Exception) -> str:
    """Why the .pt at `path` could not be loaded, as far as its content and `error` tell."""
    if isinstance(error, Unusable):
        return str(error)
    if isinstance(error, Refused | Confined):
        what = str(error) if isinstance(error, Refused) else f"would do {error} while it is read"
        return f"{what}, which no checkpoint of ultralytics does {TRUST}"
    if no_torch := _no_torch(path):
        return no_torch
    classes = _classes(path, error)
    with path.open("rb") as file:
        is_old = file.read(len(OLD)) == OLD
    if classes is None and is_old:
        return "is in the format of torch before 1.6; load it with torch and save it again"
    if classes is None:
        return "is not a torch checkpoint"
    if cause := _unloadable(classes):
        return cause
    if isinstance(error, ModuleNotFoundError) and not tasks.SAFE_LOAD:
        return f"needs the module {error.name}, which is not here (put its folder into PYTHONPATH)"
    if not tasks.SAFE_LOAD:
        return f"can't be loaded ({plain(error)})"
    if classes:
        return f"holds a class that is not allowed in a checkpoint ({classes[0]}), since it could run any code {TRUST}"
    return "holds weights only (a state_dict), no network" if _weights_only(path) else "is not a YOLO checkpoint"


def _unloadable(classes: Sequence[str]) -> str | None:
    """Why ultralytics can't load a checkpoint that holds `classes`, where their names tell."""
    if any(name.startswith("torch.ao.") for name in classes):
        return "is quantized already"
    for pattern, maker in REPOSITORIES.items():
        if any(re.match(pattern, name) for name in classes):
            return f"is a checkpoint of {maker}, which ultralytics 8 can't load"
    if any(name.startswith("models.") for name in classes):
        return "is a legacy YOLOv5 checkpoint, which ultralytics 8 can't load"
    if missing := [name for name in classes if name.startswith("ultralytics.") and not _exists(name)]:
        return f"was made by a fork or another version: ultralytics {ultralytics_version} has no {missing[0]}"
    return None


def plain(error: Exception) -> str:
    """An error of ultralytics in one line."""
    return described(error).replace("ERROR ❌️ ", "")


def _no_torch(path: Path) -> str | None:
    """What a file called .pt is, where its first bytes or its entries tell."""
    with path.open("rb") as file:
        head = file.read(256).lstrip()
    if not head:
        return "is empty"
    if head.startswith(b"version https://git-lfs"):
        return "is a pointer of Git LFS, not the file itself (git lfs pull brings it)"
    if head[:15].lower().startswith((b"<!doctype html", b"<html")):
        return "is a web page, not the file that was to be downloaded"
    if head.startswith(b"PK") and not zipfile.is_zipfile(path):
        return "is cut off, so it was not downloaded or copied whole"
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            if any("/code/" in name for name in archive.namelist()):
                return "is a TorchScript file, which was exported from a .pt"
    return None


def _classes(path: Path, error: Exception) -> Sequence[str] | None:
    """What a checkpoint holds besides known classes; of one older than torch 1.6 the first; None where it is none."""
    try:
        return sorted(get_unsafe_globals_in_checkpoint(path))
    except Exception:  # not even a torch archive
        return re.findall(r"GLOBAL (\S+)", str(error.__cause__)) or None


def _exists(name: str) -> bool:
    """Whether ultralytics has the class."""
    module, _, attribute = name.rpartition(".")
    with suppress(ImportError):
        return hasattr(import_module(module), attribute)
    return False


def _weights_only(path: Path) -> bool:
    """Whether a checkpoint holds tensors by name, by themselves or in one of its entries."""
    try:
        content = stranger.load(path, map_location="cpu")
    except Exception:  # it is damaged
        return False
    entries = [content, *content.values()] if isinstance(content, dict) else []
    return any(
        isinstance(entry, dict) and entry and all(isinstance(value, torch.Tensor) for value in entry.values())
        for entry in entries
    )
