"""A tiny YOLO whose random weights pass signal to the outputs, so that parity and rounding errors can be seen."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import nn
from ultralytics.nn.tasks import DetectionModel

from optimize.yolo.checkpoint import save


def blocks(count: int, seed: int, imgsz: int = 64) -> np.ndarray:
    """Pictures of coloured blocks under a little noise: (count, 3, imgsz, imgsz) uint8, full of contrast."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (count, 3, imgsz // 8, imgsz // 8)).repeat(8, axis=2).repeat(8, axis=3)
    return (coarse + rng.normal(0, 8, coarse.shape)).clip(0, 255).astype(np.uint8)


def write_blocks(folder: Path, count: int, seed: int) -> tuple[Path, ...]:
    """`blocks` as png files."""
    paths = tuple(folder / f"{seed}_{i}.png" for i in range(count))
    for path, pixels in zip(paths, blocks(count, seed), strict=True):
        Image.fromarray(pixels.transpose(1, 2, 0)).save(path)
    return paths


def lively(yaml: str, path: Path, classes: int = 2, imgsz: int = 64) -> Path:
    """Save `yaml` with random weights at `path`.

    Untrained networks fade to a constant within a few layers, so BatchNorm takes its statistics from `blocks`. Its
    biases keep SiLU near its linear part, else a random network amplifies every rounding error, as no trained one does.
    """
    torch.manual_seed(0)
    model = DetectionModel(yaml, nc=classes, verbose=False)
    model.names = {i: f"class{i}" for i in range(classes)}
    model.args, model.task = {"imgsz": imgsz, "task": "detect"}, "detect"
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None  # cumulative average
            nn.init.uniform_(module.weight, 0.4, 0.6)
            nn.init.normal_(module.bias, 1.0, 0.2)
    with torch.no_grad():
        model.train()(torch.from_numpy(blocks(16, seed=9, imgsz=imgsz)) / 255)
        for branch in (*model.model[-1].cv2, *model.model[-1].cv3):
            branch[-1].weight *= 3
            nn.init.normal_(branch[-1].bias, 0.0, 0.2)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 0.03
    save(model, path)
    return path
