"""What is kept of a validation: what was found in each image, and figures by class and without groups of images."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from ultralytics.data.build import build_dataloader
from ultralytics.models.yolo.classify import ClassificationValidator
from ultralytics.models.yolo.detect import DetectionValidator
from ultralytics.utils.metrics import ClassifyMetrics, Metric, ap_per_class

from optimize.dataset import Dataset
from optimize.measure.accuracy import ENOUGH, leave_groups_out
from optimize.measure.detections import Detections
from optimize.yolo.detections import classified, detected
from optimize.yolo.tasks.task import Figures


class Score(NamedTuple):
    """The main metric of some images: as a whole, and by class."""

    whole: float
    classes: dict[str, float]


def _figures(score: Score, objects: dict[str, int], folds: Sequence[Score]) -> Figures:
    """The figures of all images from their score and from those without one group of them."""
    judged = [
        name for name, count in objects.items() if count >= ENOUGH and all(name in fold.classes for fold in folds)
    ]
    by_class = {name: tuple(fold.classes[name] for fold in folds) for name in judged} if folds else {}
    return Figures(score.classes, objects, tuple(fold.whole for fold in folds), by_class)


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

    def figures(self, validator: DetectionValidator, data: Dataset, images: list[dict]) -> Figures:
        """The average precision by class, objects by class, and both means and classes by fold."""
        objects = dict(zip(data.titles, validator.metrics.nt_per_class.tolist(), strict=True))

        def by_class(metric: Metric) -> dict[str, float]:
            return {data.titles[i]: float(ap) for i, ap in zip(metric.ap_class_index, metric.ap, strict=True)}

        def average_precision(some: list[dict]) -> Score | None:
            hit, confidence, predicted, labelled = (
                np.concatenate([image[name] for image in some])
                for name in (self.hits, "conf", "pred_cls", "target_cls")
            )
            metric = Metric()
            metric.update(ap_per_class(hit, confidence, predicted, labelled)[2:])
            # ultralytics calls it 0 where nothing is labelled
            return Score(float(metric.map), by_class(metric)) if labelled.size else None

        main = getattr(validator.metrics, self.metric)
        whole = Score(float(main.map), by_class(main))
        return _figures(whole, objects, leave_groups_out(images, average_precision))


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

    def figures(self, validator: InOrder, data: Dataset, images: list[dict]) -> Figures:
        """The share of each class's images that were given that class, images by class, and both scores by fold."""
        objects = torch.cat(validator.targets).bincount(minlength=len(data.names)).tolist()

        def top1(some: list[dict]) -> Score:
            targets, given = ([image[name] for image in some] for name in ("target", "given"))
            metrics = ClassifyMetrics()
            metrics.process(targets, given)
            target, first = torch.cat(targets), torch.cat(given)[:, 0]
            shares = {i: (first[target == i] == i).float().mean().item() for i in target.unique().tolist()}
            return Score(metrics.top1, {data.titles[i]: share for i, share in shares.items()})

        return _figures(top1(images), dict(zip(data.titles, objects, strict=True)), leave_groups_out(images, top1))
