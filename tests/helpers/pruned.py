"""Pruned checkpoints with random weights, and data sets that they can be trained on; made here, in a second each."""

import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from ultralytics import RTDETR, YOLO
from ultralytics.utils import DEFAULT_CFG_DICT

from helpers import once, tiny_tasks
from optimize.input_size import square
from optimize.pruner.l2 import L2
from optimize.pruner.prune import Prune
from optimize.pruner.settings import Pruning
from optimize.variant import Variant
from optimize.yolo.checkpoint import load, save

IMGSZ = 64
TASKS = {  # names of ultralytics' yamls: the task as in Dataset
    "yolov8n": "detect",
    "yolo11n": "detect",
    "yolo26n": "detect",
    "yolov9t": "detect",
    "yolo26n-seg": "segment",
    "yolo11n-cls": "classify",
    "yolov10n": "detect",
    "yolov8n-pose": "pose",
    "yolo26n-obb": "obb",
    "yolov8n-rtdetr": "rtdetr",
}
SIX = tuple(TASKS)[:6]  # those of the issue


def whole(name: str, folder: Path) -> Path:
    """A checkpoint at full width."""
    return once.copied(f"whole {name}", lambda scratch: _write(name, scratch / "made.pt"), folder, f"{name}-whole")


def _write(name: str, path: Path) -> None:
    kind, task = (RTDETR if "rtdetr" in name else YOLO)(f"{name}.yaml").model, TASKS[name]
    torch.manual_seed(0)
    more = {"data_kpt_shape": [2, 3]} if task == "pose" else {}
    classes = tiny_tasks.CLASSES[task]
    model = type(kind)(f"{name}.yaml", nc=classes, verbose=False, **more)
    model.names = {i: f"class{i}" for i in range(classes)}
    model.task = "detect" if task == "rtdetr" else task
    model.args = DEFAULT_CFG_DICT | {"imgsz": IMGSZ, "task": model.task}
    save(model, path)


def pruned(name: str, folder: Path) -> Path:
    """A checkpoint without a fifth of its FLOPs; the one at full width lies beside it."""
    source = Variant(whole(name, folder), "torch", "fp32", square(IMGSZ))

    def prune(scratch: Path) -> None:
        with TemporaryDirectory() as work:
            made = Prune(Pruning(0.2, L2(), round_to=8))(source, Path(work))
            shutil.move(made.path, scratch / "made.pt")

    return once.copied(f"pruned {name}", prune, folder, name)


def parameters(path: Path) -> int:
    return sum(p.numel() for p in load(path).parameters())


def write_data(root: Path, task: str) -> str:
    return str(tiny_tasks.write_dataset(root, task, count=4))


def write_other_data(root: Path, task: str) -> str:
    """With one class more, the names of the others the other way round."""
    data = Path(write_data(root, task))
    if task == "classify":
        for split in ("train", "val"):
            shutil.copytree(data / split / "class0", data / split / "new")
        return str(data)
    text = data.read_text().replace("0: class0", "0: new").replace("1: class1", "1: class1\n  2: class0")
    data.write_text(text)
    return str(data)
