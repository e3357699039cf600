"""From the network's output to objects: thresholds first, decodes what is left, and suppresses what overlaps.

Copied into bundles: only the standard library and numpy are imported here. `settings` are those of bundle.json, as
`settings.py` makes them.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

Settings = Mapping[str, Any]


def objects(
    output: np.ndarray,
    settings: Settings,
    fitted: tuple[int, int],
    corner: tuple[int, int],
    size: tuple[int, int],
    in_shares: bool = False,
) -> list[dict[str, Any]]:
    """What is in a frame, the most confident first: `label`, `class`, `confidence`, and `box` in the frame's pixels.

    Args:
        output: of the network, as for `decode`.
        settings: `names` of the classes, `letterbox`, and what `decode` reads.
        fitted, corner: the frame's place in the input, as `letterbox.fit` returns it.
        size: width and height of the frame.
        in_shares: as for `decode`.
    """
    boxes, scores, classes = decode(output, settings, in_shares)
    width, height = size
    boxes = (boxes - [*corner, *corner]) / ([fitted[0] / width, fitted[1] / height] * 2)
    if settings["letterbox"]:
        boxes = boxes.clip(0, [width, height, width, height])
    return [
        {
            "label": settings["names"][label],
            "class": label,
            "confidence": round(score, 5),
            "box": [round(side, 3) for side in box],
        }
        for box, score, label in zip(boxes.tolist(), scores.tolist(), classes.tolist(), strict=True)
    ]


def decode(
    output: np.ndarray, settings: Settings, in_shares: bool = False
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Corners (N, 4) in pixels of the network's input, confidences (N,) and classes (N,), the most confident first.

    The head decides what `output` is:
    - one2many: (1, 4 + classes, anchors), boxes as centre and size, in pixels or, `in_shares`, as shares of the image;
    - end2end, which needs no NMS: (1, N, 6), corners in pixels, confidence, class;
    - rtdetr, which needs no NMS: (1, N, 6), centre and size as shares of the image, confidence, class.

    `settings["classes"]`, if there is one, holds the classes to keep.
    """
    head, limits = settings["head"], settings["nms"]
    rows, most = output[0], limits["max_detections"]
    if head == "one2many":
        best = rows[4:].max(0)
        picked = np.flatnonzero(best > limits["confidence"])
        scores, classes = best[picked], rows[4:, picked].argmax(0)
        kept = wanted(classes, settings)
        picked, scores, classes = picked[kept], scores[kept], classes[kept]
        boxes = corners(rows[:4, picked].T * (sides(settings) if in_shares else 1))
        kept = suppress(boxes, scores, classes, limits["iou"], most)
        return boxes[kept], scores[kept], classes[kept]
    rows = rows[rows[:, 4] > limits["confidence"]][:most]
    rows = rows[wanted(rows[:, 5].astype(int), settings)]
    boxes = corners(rows[:, :4] * sides(settings)) if head == "rtdetr" else rows[:, :4]
    return boxes, rows[:, 4], rows[:, 5].astype(int)


def wanted(classes: np.ndarray, settings: Settings) -> slice | np.ndarray:
    """Which of `classes` are to be kept: an index."""
    return slice(None) if settings.get("classes") is None else np.isin(classes, settings["classes"])


def sides(settings: Settings) -> np.ndarray:
    """Width and height of the input, twice: they turn x, y, width and height from shares of the image into pixels."""
    width, height = settings["imgsz"]["width"], settings["imgsz"]["height"]
    return np.array([width, height, width, height], np.float32)


def corners(boxes: np.ndarray) -> np.ndarray:
    """Turn centre and size into left, top, right, bottom."""
    middle, half = boxes[:, :2], boxes[:, 2:] / 2
    return np.concatenate([middle - half, middle + half], 1)


def suppress(boxes: np.ndarray, scores: np.ndarray, classes: np.ndarray, iou: float, most: int) -> np.ndarray:
    """Non-maximum suppression within each class: the indices of at most `most` boxes, the most confident first."""
    order = np.argsort(-scores, kind="stable")
    boxes = boxes + classes[:, None].astype(np.float32) * 7680  # boxes of different classes can't overlap
    left, top, right, bottom = boxes = np.ascontiguousarray(boxes[order].T)
    areas = (right - left) * (bottom - top)
    alive, kept = np.ones(len(order), bool), []
    for i in range(len(order)):
        if not alive[i]:
            continue
        kept.append(i)
        if len(kept) == most:
            break
        after = slice(i + 1, None)
        shared = np.minimum(boxes[2:, i, None], boxes[2:, after]) - np.maximum(boxes[:2, i, None], boxes[:2, after])
        shared = np.maximum(shared, 0).prod(0)
        # 0 / 0 where both boxes are empty is no overlap
        with np.errstate(invalid="ignore"):
            alive[after] &= ~(shared / (areas[i] + areas[after] - shared) > iou)
    return order[kept]
