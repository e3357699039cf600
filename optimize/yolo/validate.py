"""One validator per task for every runtime: ultralytics' own, fed by any session."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from torch import nn
from ultralytics.data.build import build_dataloader
from ultralytics.engine.validator import BaseValidator
from ultralytics.models.rtdetr import RTDETRValidator
from ultralytics.models.yolo.classify import ClassificationValidator
from ultralytics.models.yolo.detect import DetectionValidator
from ultralytics.models.yolo.obb import OBBValidator
from ultralytics.models.yolo.pose import PoseValidator
from ultralytics.models.yolo.segment import SegmentationValidator
from ultralytics.utils.metrics import ClassifyMetrics, Metric, ap_per_class

from optimize.dataset import Dataset
from optimize.input_size import Size
from optimize.measure.accuracy import Accuracy, leave_groups_out
from optimize.measure.detections import Detections
from optimize.yolo import read_only  # noqa: F401  replaces what writes into a data set
from optimize.yolo.detections import classified, detected
from optimize.yolo.metrics import METRICS


class _InOrder(ClassificationValidator):
    """Ultralytics' own validates in a random order, and a batch doesn't say which image it holds."""

    def get_dataloader(self, dataset_path: Path | str, batch_size: int) -> torch.utils.data.DataLoader:
        dataset = super().get_dataloader(dataset_path, batch_size).dataset
        return build_dataloader(dataset, batch_size, workers=0, shuffle=False, device=self.device)


VALIDATORS = {
    "detect": DetectionValidator,
    "segment": SegmentationValidator,
    "pose": PoseValidator,
    "obb": OBBValidator,
    "classify": _InOrder,
    "rtdetr": RTDETRValidator,
}
# where the main metric is not that of boxes: the figures that hold it, and each image's hits that it is made of
MAIN = {"segment": ("seg", "tp_m"), "pose": ("pose", "tp_p")}


class _Shim(nn.Module):
    """A session that looks like a model of someone else's to ultralytics' AutoBackend, which would round the size."""

    def __init__(self, session: Callable[[np.ndarray], list[np.ndarray]], names: tuple[str, ...], imgsz: Size):
        super().__init__()
        self.session = session
        self.names = dict(enumerate(names))
        self.stride = torch.tensor([imgsz.side])
        self.end2end = False

    def forward(self, images: torch.Tensor) -> torch.Tensor | list[torch.Tensor]:
        outputs = [torch.from_numpy(output) for output in self.session(images.numpy())]
        return outputs if len(outputs) > 1 else outputs[0]


def validate(
    session: Callable[[np.ndarray], list[np.ndarray]],
    data: Dataset,
    imgsz: Size,
    keep: Callable[[Detections], object] = lambda detections: None,
) -> Accuracy:
    """Accuracy of a session, judged as `data.task` is.

    The session takes (1, 3, height, width) float32 in 0..1 and returns what the exported graph does: [(1, 4 + classes +
    angle or keypoints, anchors)]; for `segment` mask coefficients in it and prototypes (1, 32, height / 4, width / 4)
    beside it; [(1, classes)] for `classify`; [(1, queries, 6)] for `rtdetr`.

    The settings are those of `yolo val` for an exported file, for every variant alike: batch 1, and where they apply
    square letterbox (`rect=False`), confidence above 0.001 (`obb`: 0.01), IoU 0.7 for NMS. So the figures equal stock
    ultralytics' for the same file, and a checkpoint is compared with its exports on the same pixels.

    `keep` is called with what was found in each image that could be read, in the same order for every session.
    """
    task = "detect" if data.task == "rtdetr" else data.task
    settings = {"task": task, "mode": "val", "data": str(data.yaml), "imgsz": imgsz.side, "batch": 1, "rect": False}
    settings |= {"single_cls": data.single_cls, "device": "cpu", "plots": False, "verbose": False}
    # ultralytics insists on a folder, and puts nothing there that we need
    with TemporaryDirectory() as folder, _same_threads():
        validator = VALIDATORS[data.task](save_dir=Path(folder), args=settings)
        images = _watch(validator, data, keep)
        found = validator(model=_Shim(session, data.names, imgsz))
    metrics = {name: float(found[key]) for name, key in METRICS[data.task].items()}
    judge = _classified if task == "classify" else _detected
    classes, objects, folds = judge(validator, data, images)
    return Accuracy(metrics, len(images), classes, objects, folds)


@contextmanager
def _same_threads() -> Iterator[None]:
    """ultralytics leaves torch on fewer threads: what is computed next would depend on whether this ran before it."""
    threads = torch.get_num_threads()
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _watch(validator: BaseValidator, data: Dataset, keep: Callable[[Detections], object]) -> list[dict]:
    """A list that will hold ultralytics' statistics of each image; what is found there goes to `keep`.

    Neither outlives ultralytics' validation, and its callbacks don't see what was found.
    """
    images: list[dict[str, Any]] = []
    update = validator.update_metrics
    positions = {os.path.abspath(image): i for i, image in enumerate(data.val)}

    def update_metrics(found: Any, batch: dict) -> None:  # a tensor, or a list of one dict
        update(found, batch)
        if data.task == "classify":
            file = validator.dataloader.dataset.samples[len(images)][0]
            keep(classified(positions[os.path.abspath(file)], found, batch, data.titles))
            images.append({"target": validator.targets[-1], "given": validator.pred[-1]})
        else:
            position = positions[os.path.abspath(batch["im_file"][0])]
            keep(detected(position, found[0], batch, data.titles, rotated=data.task == "obb"))
            images.append({name: values[-1] for name, values in validator.metrics.stats.items()})

    validator.update_metrics = update_metrics
    return images


def _detected(validator: DetectionValidator, data: Dataset, images: list[dict]) -> tuple[dict, dict, tuple]:
    """The average precision by class, objects by class, and the mean average precision by fold."""
    figures, hits = MAIN.get(data.task, ("box", "tp"))
    main = getattr(validator.metrics, figures)
    classes = {data.titles[i]: float(ap) for i, ap in zip(main.ap_class_index, main.ap, strict=True)}
    objects = dict(zip(data.titles, validator.metrics.nt_per_class.tolist(), strict=True))

    def mean_average_precision(some: list[dict]) -> float | None:
        hit, confidence, predicted, labelled = (
            np.concatenate([image[name] for image in some]) for name in (hits, "conf", "pred_cls", "target_cls")
        )
        metric = Metric()
        metric.update(ap_per_class(hit, confidence, predicted, labelled)[2:])
        return float(metric.map) if labelled.size else None  # ultralytics calls it 0 where nothing is labelled

    return classes, objects, leave_groups_out(images, mean_average_precision)


def _classified(validator: ClassificationValidator, data: Dataset, images: list[dict]) -> tuple[dict, dict, tuple]:
    """The share of each class's images that were given that class, images by class, and top-1 by fold."""
    target, given = torch.cat(validator.targets), torch.cat(validator.pred)[:, 0]
    shares = {i: (given[target == i] == i).float().mean().item() for i in target.unique().tolist()}
    classes = {data.titles[i]: share for i, share in shares.items()}
    objects = dict(zip(data.titles, target.bincount(minlength=len(data.names)).tolist(), strict=True))

    def top1(some: list[dict]) -> float:
        metrics = ClassifyMetrics()
        metrics.process([image["target"] for image in some], [image["given"] for image in some])
        return metrics.top1

    return classes, objects, leave_groups_out(images, top1)
