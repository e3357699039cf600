"""One validator per task for every runtime: ultralytics' own, fed by any session."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from math import gcd
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from torch import nn
from ultralytics.data.base import BaseDataset
from ultralytics.data.dataset import ClassificationDataset
from ultralytics.engine.validator import BaseValidator

from optimize.dataset import Dataset, EvaluationImages
from optimize.input_size import Size
from optimize.measure.accuracy import Accuracy
from optimize.measure.detections import Detections
from optimize.yolo import read_only  # noqa: F401  replaces what writes into a data set
from optimize.yolo.metric import COCO, ULTRALYTICS, CocoEvaluation, implementation
from optimize.yolo.tasks import BY_NAME
from optimize.yolo.tasks.task import Figures, Outputs


class _Shim(nn.Module):
    """A session that looks like a model of someone else's to ultralytics' AutoBackend, which would round the size."""

    def __init__(
        self,
        session: Callable[[np.ndarray], list[np.ndarray]],
        names: tuple[str, ...],
        imgsz: Size,
        end2end: bool,
    ):
        super().__init__()
        self.session = session
        self.names = dict(enumerate(names))
        self.stride = torch.tensor([gcd(imgsz.height, imgsz.width)])
        self.end2end = end2end

    def forward(self, images: torch.Tensor) -> torch.Tensor | list[torch.Tensor]:
        outputs = [torch.from_numpy(output) for output in self.session(images.numpy())]
        return outputs if len(outputs) > 1 else outputs[0]


def validate(
    session: Callable[[np.ndarray], list[np.ndarray]],
    data: Dataset,
    imgsz: Size,
    keep: Callable[[Detections], object] = lambda detections: None,
    images: EvaluationImages | None = None,
    metric: str = ULTRALYTICS,
    end2end: bool = False,
) -> Accuracy:
    """Accuracy of a session, judged as `data.task` is.

    The session takes (1, 3, height, width) float32 in 0..1 and returns what the exported graph does: [(1, 4 + classes +
    angle or keypoints, anchors)]; for `segment` mask coefficients in it and prototypes (1, 32, height / 4, width / 4)
    beside it; [(1, classes)] for `classify`; [(1, queries, 6)] for `rtdetr`. With `end2end` the first output is (1,
    detections, 6 + angle, keypoints or mask coefficients): corners, confidence, class, which need no NMS.

    The settings are those of `yolo val` for an exported file, for every variant alike: batch 1, and where they apply
    letterbox to the whole input (`rect=False`), confidence above 0.001 (`obb`: 0.01), IoU 0.7 for NMS. So the figures
    equal stock ultralytics' for the same file, and a checkpoint is compared with its exports on the same pixels.

    `metric` says which implementation computes the accuracy, whatever is installed; COCO's gives no folds.

    `keep` is called with what was found in each image that could be read, in the same order for every session.
    `images` are those of `data` that are validated, by default those of the report.
    """
    images = images or data.report_images
    task = BY_NAME[data.task]
    parts = task.parts()
    settings = {
        "task": task.stock,
        "mode": "val",
        "data": str(data.yaml),
        "split": images.split,
        "batch": 1,
        "rect": False,
    }
    settings |= {"single_cls": data.single_cls, "device": "cpu", "plots": False, "verbose": False}
    if end2end:  # else the validator would turn the model's own end2end off
        settings["nms"] = False
    settings |= {"val": metric == COCO}  # to ultralytics: whether its save_json, and so COCO's evaluation, may be taken
    # ultralytics insists on a folder, and puts nothing there that we need
    with TemporaryDirectory() as folder, _same_threads():
        validator = parts.validator(save_dir=Path(folder), args=settings)
        validator.args.imgsz = imgsz.sides  # its constructor takes squares only, though it validates rectangular files
        if not images.whole:
            _restrict(validator, images.files)
        seen = _watch(validator, parts.outputs, data, images.files, keep)
        evaluation = CocoEvaluation(validator, data) if metric == COCO else None
        found = validator(model=_Shim(session, data.names, imgsz, end2end))
    metrics = {name: float(found[key]) for name, key in task.metrics.items()}
    figures = parts.outputs.figures(validator, data, seen)
    if evaluation:
        figures = Figures(evaluation.classes() or figures.classes, figures.objects, (), {})
    return Accuracy(metrics, len(seen), *figures, implementation=implementation(metric))


@contextmanager
def _same_threads() -> Iterator[None]:
    """ultralytics leaves torch on fewer threads: what is computed next would depend on whether this ran before it."""
    threads = torch.get_num_threads()
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _restrict(validator: BaseValidator, files: Sequence[Path]) -> None:
    """Validate these images of the split alone, read and checked as the whole split is, so with its label cache."""
    build, wanted = validator.build_dataset, {os.path.abspath(file) for file in files}

    def build_part(*args: Any, **settings: Any) -> BaseDataset | ClassificationDataset:
        dataset = build(*args, **settings)
        if isinstance(dataset, ClassificationDataset):
            dataset.samples = [sample for sample in dataset.samples if os.path.abspath(sample[0]) in wanted]
            return dataset
        kept = [i for i, file in enumerate(dataset.im_files) if os.path.abspath(file) in wanted]
        for name in ("im_files", "labels", "npy_files", "ims", "im_hw0", "im_hw"):  # all that has an entry per image
            setattr(dataset, name, [getattr(dataset, name)[i] for i in kept])
        dataset.ni = len(kept)
        return dataset

    validator.build_dataset = build_part


def _watch(
    validator: BaseValidator,
    outputs: Outputs,
    data: Dataset,
    files: Sequence[Path],
    keep: Callable[[Detections], object],
) -> list[dict]:
    """A list that will hold ultralytics' statistics of each image; what is found there goes to `keep`.

    Neither outlives ultralytics' validation, and its callbacks don't see what was found.
    """
    images: list[dict[str, Any]] = []
    update = validator.update_metrics
    positions = {os.path.abspath(image): i for i, image in enumerate(files)}

    def position(file: str) -> int:
        return positions[os.path.abspath(file)]

    def update_metrics(found: Any, batch: dict) -> None:  # a tensor, or a list of one dict
        update(found, batch)
        detections, statistics = outputs.of_image(validator, found, batch, position, data.titles)
        keep(detections)
        images.append(statistics)

    validator.update_metrics = update_metrics
    return images
