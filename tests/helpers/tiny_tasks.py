"""Tiny data sets and models of every task, made here.

Squares nearly fill their images, so that even random weights hit some of them and no accuracy is trivially zero.
"""

from pathlib import Path

import numpy as np
from PIL import Image

TASKS = {  # task as in Dataset: the yaml of a model
    "segment": "yolo11n-seg.yaml",
    "pose": "yolov8n-pose.yaml",
    "obb": "yolo26n-obb.yaml",
    "classify": "yolo11n-cls.yaml",
    "rtdetr": "yolov8n-rtdetr.yaml",
}
CLASSES = {task: 6 if task == "classify" else 2 for task in ("detect", *TASKS)}
SIDE = 64


def write_dataset(root: Path, task: str, count: int = 8) -> Path:
    """`data=` for `task`: the data.yaml, or the folder itself for `classify`. Classes are called class0, class1 ..."""
    rng, classes = np.random.default_rng(0), CLASSES[task]
    for split in ("train", "val"):
        for i in range(count if task != "classify" else max(count, 2 * classes)):
            left, top, right, bottom = rng.integers(0, 6, 2).tolist() + rng.integers(58, 64, 2).tolist()
            pixels = rng.integers(0, 256, (SIDE // 8, SIDE // 8, 3), dtype=np.uint8).repeat(8, 0).repeat(8, 1)
            pixels[top:bottom, left:right] //= 1 + i % classes
            folder = root / split / f"class{i % classes}" if task == "classify" else root / "images" / split
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(folder / f"{i}.png")
            if task != "classify":
                label = root / "labels" / split / f"{i}.txt"
                label.parent.mkdir(parents=True, exist_ok=True)
                row = (i % classes, *_numbers(task, *(value / SIDE for value in (left, top, right, bottom))))
                label.write_text(" ".join(f"{number:g}" for number in row) + "\n")
    if task == "classify":
        return root
    keypoints = "kpt_shape: [2, 3]\n" if task == "pose" else ""
    names = "".join(f"  {i}: class{i}\n" for i in range(classes))
    (root / "data.yaml").write_text(f"train: images/train\nval: images/val\n{keypoints}names:\n{names}")
    return root / "data.yaml"


def _numbers(task: str, left: float, top: float, right: float, bottom: float) -> tuple[float, ...]:
    """A label without its class: corners, or a box, for pose with two corners as keypoints."""
    if task in ("segment", "obb"):
        return left, top, right, top, right, bottom, left, bottom
    box = (left + right) / 2, (top + bottom) / 2, right - left, bottom - top
    return (*box, left, top, 2, right, bottom, 2) if task == "pose" else box
