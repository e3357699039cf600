"""Tiny data sets and models of every task, made here.

Squares nearly fill their images, so that even random weights hit some of them and no accuracy is trivially zero.
"""

from pathlib import Path
from zlib import crc32

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


def write_dataset(root: Path, task: str, count: int = 8, test: bool = False) -> Path:
    """`data=` for `task`: the data.yaml, or the folder itself for `classify`. Classes are called class0, class1 ..."""
    rng, classes = np.random.default_rng(0), CLASSES[task]
    splits = ("train", "val", "test") if test else ("train", "val")
    for split in splits:
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
    folders = "".join(f"{split}: images/{split}\n" for split in splits)
    (root / "data.yaml").write_text(f"{folders}{keypoints}names:\n{names}")
    return root / "data.yaml"


def _numbers(task: str, left: float, top: float, right: float, bottom: float) -> tuple[float, ...]:
    """A label without its class: corners, or a box, for pose with two corners as keypoints."""
    if task in ("segment", "obb"):
        return left, top, right, top, right, bottom, left, bottom
    box = (left + right) / 2, (top + bottom) / 2, right - left, bottom - top
    return (*box, left, top, 2, right, bottom, 2) if task == "pose" else box


def guessing(task: str):
    """A session that guesses objects as large as those of tiny_tasks, the same each time it sees the same image."""
    rest = {"segment": np.ones(32), "pose": [3, 3, 2, 61, 61, 2], "obb": [0]}.get(task, [])

    def session(images: np.ndarray) -> list[np.ndarray]:
        rng = np.random.default_rng(crc32(images.tobytes()))
        if task == "classify":
            return [rng.dirichlet(np.ones(6), 1).astype(np.float32)]
        boxes, scores = rng.normal((32, 32, 58, 58), 2, (30, 4)), rng.random((30, 2))
        if task == "rtdetr":
            return [np.hstack([boxes / 64, scores.max(1)[:, None], scores.argmax(1)[:, None]])[None].astype(np.float32)]
        found = np.hstack([boxes, scores, np.tile(rest, (30, 1))]).T[None].astype(np.float32)
        return [found, np.ones((1, 32, 16, 16), np.float32)] if task == "segment" else [found]

    return session
