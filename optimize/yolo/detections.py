"""What ultralytics' validators find in an image, in pixels of the image as it lies on disk."""

from collections.abc import Sequence

import torch
from ultralytics.utils import ops

from optimize.measure.detections import CONFIDENCE, Box, Detections


def detected(image: int, found: dict, batch: dict, names: Sequence[str], rotated: bool) -> Detections:
    """Boxes of a batch of one.

    Args:
        image: position in the validation split.
        found: `bboxes` (N, 4) x1 y1 x2 y2, or if `rotated` (N, 5) x y width height angle, in pixels of the network's
            input; `conf` (N,); `cls` (N,).
        batch: as the validator's loader gives it, with the labels in shares of the network's input.
        names: of the classes.
        rotated: for `obb`.
    """
    height, width = size = batch["img"].shape[2:]
    labelled = batch["bboxes"].clone()
    labelled[:, :4] *= torch.tensor([width, height, width, height])

    def corners(boxes: torch.Tensor) -> torch.Tensor:
        """(N, 4, 2), in pixels of the image."""
        boxes = ops.scale_boxes(size, boxes.clone(), batch["ori_shape"][0], batch["ratio_pad"][0], xywh=rotated)
        return ops.xywhr2xyxyxyxy(boxes) if rotated else boxes[:, [0, 1, 2, 1, 2, 3, 0, 3]].view(-1, 4, 2)

    where = corners(found["bboxes"])
    shown = (found["conf"] >= CONFIDENCE) & where.isfinite().all(2).all(1)
    truth = corners(labelled if rotated else ops.xywh2xyxy(labelled))
    return Detections(
        image,
        _boxes(batch["cls"].flatten(), None, truth, names),
        _boxes(found["cls"][shown], found["conf"][shown], where[shown], names),
    )


def classified(image: int, found: torch.Tensor, batch: dict, names: Sequence[str]) -> Detections:
    """The likeliest class; `found` is (1, classes), probabilities."""
    nowhere = torch.zeros(1, 0, 2)
    score, label = found.max(1)
    return Detections(image, _boxes(batch["cls"], None, nowhere, names), _boxes(label, score, nowhere, names))


def _boxes(
    labels: torch.Tensor, scores: torch.Tensor | None, corners: torch.Tensor, names: Sequence[str]
) -> tuple[Box, ...]:
    """Rounded to 0.01 pixels and to 0.0001 of confidence: the store holds thousands of them."""
    rounded = corners.double().round(decimals=2).tolist()
    shown = [None] * len(rounded) if scores is None else scores.double().round(decimals=4).tolist()
    return tuple(
        Box(names[int(label)], score, tuple(map(tuple, around)))
        for label, score, around in zip(labels.tolist(), shown, rounded, strict=True)
    )
