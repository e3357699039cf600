"""Boxes are thresholded, suppressed and picked by class as torchvision and ultralytics do it."""

import numpy as np
import pytest
import torch
from torchvision.ops import batched_nms
from ultralytics.utils.nms import non_max_suppression

from optimize.frame import boxes

BUNDLE = {
    "head": "one2many",
    "imgsz": {"height": 640, "width": 640},
    "nms": {"confidence": 0.25, "iou": 0.7, "max_detections": 300},
}


def crowded(rng: np.random.Generator, classes: int, anchors: int) -> np.ndarray:
    """An output in which many boxes overlap and some are empty."""
    centres = rng.uniform(50, 590, (40, 2)).repeat(-(-anchors // 40), 0)[:anchors] + rng.normal(0, 4, (anchors, 2))
    sizes = rng.uniform(40, 60, (anchors, 2)) * (rng.random((anchors, 1)) > 0.02)
    return np.hstack([centres, sizes, rng.random((anchors, classes)) ** 8]).T[None].astype(np.float32)


@pytest.mark.parametrize("kept", [None, [2, 0]])
@pytest.mark.parametrize("most", [300, 7])
def test_the_boxes_are_ultralytics_own(kept, most):
    rng = np.random.default_rng(0)
    for classes, anchors in ((1, 50), (5, 500), (80, 2000)):
        if kept and classes == 1:
            continue
        output = crowded(rng, classes, anchors)
        bundle = BUNDLE | {"classes": kept, "nms": BUNDLE["nms"] | {"max_detections": most}}
        corners, scores, labels = boxes.decode(output, bundle)
        theirs = non_max_suppression(torch.tensor(output), 0.25, 0.7, classes=kept, max_det=most, nc=classes)[0]
        assert len(corners) == len(theirs) > 3
        assert (np.column_stack([corners, scores, labels]) == theirs.numpy()).all()


def test_nothing_above_the_threshold_is_no_boxes():
    corners, scores, labels = boxes.decode(np.zeros((1, 6, 84), np.float32), BUNDLE)
    assert (corners.shape, scores.shape, labels.shape) == ((0, 4), (0,), (0,))


def test_suppression_is_torchvision_s():
    rng = np.random.default_rng(1)
    corners = rng.uniform(0, 100, (400, 2)).repeat(2, 1).reshape(400, 2, 2).transpose(0, 2, 1).reshape(400, 4)
    corners = (corners + np.hstack([np.zeros((400, 2)), rng.uniform(5, 40, (400, 2))])).astype(np.float32)
    scores, classes = rng.random(400).astype(np.float32), rng.integers(0, 3, 400)
    theirs = batched_nms(torch.tensor(corners), torch.tensor(scores), torch.tensor(classes), 0.5)
    assert boxes.suppress(corners, scores, classes, 0.5, 400).tolist() == theirs.tolist()


@pytest.mark.parametrize("head", ["end2end", "rtdetr"])
def test_classes_are_picked_from_heads_without_suppression_too(head):
    rows = np.float32([[0.1, 0.2, 0.3, 0.4, 0.9, 0], [0.1, 0.2, 0.3, 0.4, 0.8, 2], [0.1, 0.2, 0.3, 0.4, 0.1, 2]])
    corners, scores, classes = boxes.decode(rows[None], BUNDLE | {"head": head, "classes": [2]})
    assert (len(corners), scores.tolist(), classes.tolist()) == (1, [np.float32(0.8)], [2])
