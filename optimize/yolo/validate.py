"""One validator for every runtime: ultralytics' own, fed by any session."""

import logging
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from torch import nn
from ultralytics.models.yolo.detect import DetectionValidator

from optimize.data.dataset import Dataset
from optimize.measure.accuracy import Accuracy

log = logging.getLogger(__name__)


class _Shim(nn.Module):
    """A session that looks like a model of someone else's to ultralytics' AutoBackend."""

    def __init__(self, session: Callable[[np.ndarray], list[np.ndarray]], names: tuple[str, ...], stride: int):
        super().__init__()
        self.session = session
        self.names = dict(enumerate(names))
        self.stride = torch.tensor([stride])
        self.end2end = False

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return torch.from_numpy(self.session(images.numpy())[0])


def validate(session: Callable[[np.ndarray], list[np.ndarray]], data: Dataset, imgsz: int) -> Accuracy:
    """Accuracy of a session `(1, 3, imgsz, imgsz) float32 in 0..1 -> [(1, 4 + classes, anchors)]`.

    The settings are those of `yolo val` for an exported file, for every variant alike: square letterbox
    (`rect=False`), batch 1, confidence above 0.001, IoU 0.7 for NMS. So the figures equal stock ultralytics' for the
    same file, and a checkpoint is compared with its exports on the same pixels.
    """
    settings = {"task": "detect", "mode": "val", "data": str(data.yaml), "imgsz": imgsz, "batch": 1, "rect": False}
    with TemporaryDirectory() as folder:  # ultralytics insists on one, and puts nothing there that we need
        validator = DetectionValidator(
            save_dir=Path(folder), args={**settings, "device": "cpu", "plots": False, "verbose": False}
        )
        validator(model=_Shim(session, data.names, stride=32))
    if validator.seen != len(data.val):
        log.warning(
            "%d of %d validation pictures were unreadable or wrongly labelled, and left out",
            len(data.val) - validator.seen,
            len(data.val),
        )
    box = validator.metrics.box
    classes = {data.names[i]: float(ap) for i, ap in zip(box.ap_class_index, box.ap, strict=True)}
    return Accuracy(map50_95=float(box.map), map50=float(box.map50), images=validator.seen, classes=classes)
