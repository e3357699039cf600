"""What is kept of a validation: what was found in each image, and figures by class and without groups of images."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ultralytics.data.build import build_dataloader
from ultralytics.models.yolo.classify import ClassificationValidator
from ultralytics.models.yolo.detect import DetectionValidator
from ultralytics.utils.metrics import ClassifyMetrics, Metric, ap_per_class

from optimize.dataset import Dataset
from optimize.measure.accuracy import leave_groups_out
from optimize.measure.detections import Detections
from optimize.yolo.detections import classified, detected


@dataclass(frozen=True)
class Boxes:
    """Objects with boxes.

    Attributes:
        metric: which of ultralytics' metrics is the main one: `box`, `seg` or `pose`.
        hits: name of the statistics that it is made of.
        rotated: whether boxes have an angle.
    """

    metric: str = "box"
    hits: str = "tp"
    rotated: bool = False

    def of_image(
        self,
        validator: DetectionValidator,
        outputs: Any,
        batch: dict,
        position: Callable[[str], int],
        names: Sequence[str],
    ) -> tuple[Detections, dict[str, Any]]:
        found = detected(position(batch["im_file"][0]), outputs[0], batch, names, self.rotated)
        return found, {name: values[-1] for name, values in validator.metrics.stats.items()}

    def figures(
        self, validator: DetectionValidator, data: Dataset, images: list[dict]
    ) -> tuple[dict[str, float], dict[str, int], tuple[float, ...]]:
        """The average precision by class, objects by class, and the mean average precision by fold."""
        main = getattr(validator.metrics, self.metric)
        classes = {data.titles[i]: float(ap) for i, ap in zip(main.ap_class_index, main.ap, strict=True)}
        objects = dict(zip(data.titles, validator.metrics.nt_per_class.tolist(), strict=True))

        def mean_average_precision(some: list[dict]) -> float | None:
            hit, confidence, predicted, labelled = (
                np.concatenate([image[name] for image in some])
                for name in (self.hits, "conf", "pred_cls", "target_cls")
            )
            metric = Metric()
            metric.update(ap_per_class(hit, confidence, predicted, labelled)[2:])
            return float(metric.map) if labelled.size else None  # ultralytics calls it 0 where nothing is labelled

        return classes, objects, leave_groups_out(images, mean_average_precision)


class InOrder(ClassificationValidator):
    """Ultralytics' own validates in a random order, and a batch doesn't say which image it holds."""

    def get_dataloader(self, dataset_path: Path | str, batch_size: int) -> torch.utils.data.DataLoader:
        dataset = super().get_dataloader(dataset_path, batch_size).dataset
        return build_dataloader(dataset, batch_size, workers=0, shuffle=False, device=self.device)


@dataclass(frozen=True)
class Classes:
    """A class for each image; its validator must be `InOrder`."""

    def of_image(
        self, validator: InOrder, outputs: Any, batch: dict, position: Callable[[str], int], names: Sequence[str]
    ) -> tuple[Detections, dict[str, Any]]:
        file = validator.dataloader.dataset.samples[len(validator.targets) - 1][0]
        found = classified(position(file), outputs, batch, names)
        return found, {"target": validator.targets[-1], "given": validator.pred[-1]}

    def figures(
        self, validator: InOrder, data: Dataset, images: list[dict]
    ) -> tuple[dict[str, float], dict[str, int], tuple[float, ...]]:
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
