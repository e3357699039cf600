"""One validator per task for every runtime: ultralytics' own, fed by any session."""

import logging
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from torch import nn
from ultralytics.models.rtdetr import RTDETRValidator
from ultralytics.models.yolo.classify import ClassificationValidator
from ultralytics.models.yolo.detect import DetectionValidator
from ultralytics.models.yolo.obb import OBBValidator
from ultralytics.models.yolo.pose import PoseValidator
from ultralytics.models.yolo.segment import SegmentationValidator

from optimize.data.dataset import Dataset
from optimize.measure.accuracy import Accuracy
from optimize.yolo.metrics import METRICS

log = logging.getLogger(__name__)

VALIDATORS = {
    "detect": DetectionValidator,
    "segment": SegmentationValidator,
    "pose": PoseValidator,
    "obb": OBBValidator,
    "classify": ClassificationValidator,
    "rtdetr": RTDETRValidator,
}
MAIN = {"segment": "seg", "pose": "pose"}  # the figures that hold the main metric, where they are not those of boxes


class _Shim(nn.Module):
    """A session that looks like a model of someone else's to ultralytics' AutoBackend."""

    def __init__(self, session: Callable[[np.ndarray], list[np.ndarray]], names: tuple[str, ...], stride: int):
        super().__init__()
        self.session = session
        self.names = dict(enumerate(names))
        self.stride = torch.tensor([stride])
        self.end2end = False

    def forward(self, images: torch.Tensor) -> torch.Tensor | list[torch.Tensor]:
        outputs = [torch.from_numpy(output) for output in self.session(images.numpy())]
        return outputs if len(outputs) > 1 else outputs[0]


def validate(session: Callable[[np.ndarray], list[np.ndarray]], data: Dataset, imgsz: int) -> Accuracy:
    """Accuracy of a session, judged as `data.task` is.

    The session takes (1, 3, imgsz, imgsz) float32 in 0..1 and returns what the exported graph does: [(1, 4 + classes +
    angle or keypoints, anchors)]; for `segment` mask coefficients in it and prototypes (1, 32, imgsz / 4, imgsz / 4)
    beside it; [(1, classes)] for `classify`; [(1, queries, 6)] for `rtdetr`.

    The settings are those of `yolo val` for an exported file, for every variant alike: batch 1, and where they apply
    square letterbox (`rect=False`), confidence above 0.001 (`obb`: 0.01), IoU 0.7 for NMS. So the figures equal stock
    ultralytics' for the same file, and a checkpoint is compared with its exports on the same pixels.
    """
    task = "detect" if data.task == "rtdetr" else data.task
    settings = {"task": task, "mode": "val", "data": str(data.yaml), "imgsz": imgsz, "batch": 1, "rect": False}
    with TemporaryDirectory() as folder:  # ultralytics insists on one, and puts nothing there that we need
        validator = VALIDATORS[data.task](
            save_dir=Path(folder), args={**settings, "device": "cpu", "plots": False, "verbose": False}
        )
        found = validator(model=_Shim(session, data.names, stride=32))
    images, classes = (_classified if task == "classify" else _detected)(validator, data)
    if images != len(data.val):
        log.warning(
            "%d of %d validation pictures were unreadable or wrongly labelled, and left out",
            len(data.val) - images,
            len(data.val),
        )
    return Accuracy({name: float(found[key]) for name, key in METRICS[data.task].items()}, images, classes)


def _detected(validator: DetectionValidator, data: Dataset) -> tuple[int, dict[str, float]]:
    """Pictures validated, and the average precision by class."""
    main = getattr(validator.metrics, MAIN.get(data.task, "box"))
    return validator.seen, {data.names[i]: float(ap) for i, ap in zip(main.ap_class_index, main.ap, strict=True)}


def _classified(validator: ClassificationValidator, data: Dataset) -> tuple[int, dict[str, float]]:
    """Pictures validated, and the share of each class's pictures that were given that class."""
    target, given = torch.cat(validator.targets), torch.cat(validator.pred)[:, 0]
    shares = {i: (given[target == i] == i).float().mean().item() for i in target.unique().tolist()}
    return len(target), {data.names[i]: share for i, share in shares.items()}
