"""A tiny YOLO whose random weights pass signal to the outputs, so that parity and rounding errors can be seen."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import nn
from ultralytics.nn import tasks

from helpers import once
from optimize.yolo.checkpoint import save

MODELS = {  # by what the name of a yaml ends with
    "-seg": ("segment", tasks.SegmentationModel),
    "-pose": ("pose", tasks.PoseModel),
    "-obb": ("obb", tasks.OBBModel),
    "-cls": ("classify", tasks.ClassificationModel),
    "-rtdetr": ("detect", tasks.RTDETRDetectionModel),
}
KEYPOINTS = (2, 3)  # of a pose model


def blocks(count: int, seed: int, imgsz: int = 64) -> np.ndarray:
    """Images of coloured blocks under a little noise: (count, 3, imgsz, imgsz) uint8, full of contrast."""
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
    key = f"lively {yaml} {classes} {imgsz}"
    made = once.copied(key, lambda folder: _write(yaml, folder / "made.pt", classes, imgsz), path.parent, path.stem)
    torch.manual_seed(0)
    return made


def _write(yaml: str, path: Path, classes: int, imgsz: int) -> None:
    torch.manual_seed(0)
    ending = next((ending for ending in MODELS if yaml.endswith(f"{ending}.yaml")), None)
    task, kind = MODELS.get(ending, ("detect", tasks.DetectionModel))
    settings = {"data_kpt_shape": KEYPOINTS} if task == "pose" else {}
    model = kind(_short_decoder(yaml) if ending == "-rtdetr" else yaml, nc=classes, verbose=False, **settings)
    model.names = {i: f"class{i}" for i in range(classes)}
    model.args, model.task = {"imgsz": imgsz, "task": task}, task
    if ending == "-rtdetr":
        _tell_apart(model)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None  # cumulative average
            nn.init.uniform_(module.weight, 0.4, 0.6)
            nn.init.normal_(module.bias, 1.0, 0.2)
    with torch.no_grad():
        model.train()(torch.from_numpy(blocks(16, seed=9, imgsz=imgsz)) / 255)
        head = model.model[-1]
        for branch in (*getattr(head, "cv2", ()), *getattr(head, "cv3", ())):
            branch[-1].weight *= 3
            nn.init.normal_(branch[-1].bias, 0.0, 0.2)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 0.03
    if task == "classify":
        _spread(model, torch.from_numpy(blocks(16, seed=9, imgsz=imgsz)) / 255)
    save(model, path)


def _short_decoder(yaml: str) -> dict:
    """Two layers 64 wide instead of six layers 256 wide: the same operators in a quarter of the time."""
    config = tasks.yaml_model_load(yaml)
    width, queries, points, heads, layers = 64, 300, 4, 8, 2
    config["head"][-1][-1] = ["nc", width, queries, points, heads, layers]
    return config


def _spread(model: nn.Module, images: torch.Tensor) -> None:
    """Logits of mean 0 and deviation 1 over the images; else all images would be of one class."""
    layer, seen = model.model[-1].linear, []
    with torch.no_grad():
        hook = layer.register_forward_hook(lambda module, inputs, logits: seen.append(logits))
        model.eval()(images)
        hook.remove()
        layer.bias -= seen[0].mean(0)
        layer.weight /= (deviation := seen[0].std(0))[:, None]
        layer.bias /= deviation


def _tell_apart(model: nn.Module) -> None:
    """Untrained RT-DETR decoder layers are copies of each other, which no trained ones are; and boxes get large."""
    head = model.model[-1]
    with torch.no_grad():
        for parameter in head.parameters():
            parameter += 0.02 * torch.randn_like(parameter)
        head.enc_bbox_head.layers[-1].bias += torch.tensor([0.0, 0.0, 3.0, 3.0])
        for score in (head.enc_score_head, *head.dec_score_head):
            score.weight *= 3
