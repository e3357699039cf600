"""From the network's output to boxes: thresholds first, decodes what is left, and suppresses what overlaps."""

import numpy as np

from device import SHARES


def decode(output, bundle):
    """Corners (N, 4) in pixels of the network's input, confidences (N,) and classes (N,), the most confident first.

    The head decides what `output` is:
    - one2many: (1, 4 + classes, anchors), boxes as centre and size, in pixels or, with SHARES, as shares of the image;
    - end2end, which needs no NMS: (1, N, 6), corners in pixels, confidence, class;
    - rtdetr, which needs no NMS: (1, N, 6), centre and size as shares of the image, confidence, class.

    `bundle["classes"]`, if there is one, holds the classes to keep.
    """
    head, settings = bundle["head"], bundle["nms"]
    rows, most = output[0], settings["max_detections"]
    if head == "one2many":
        best = rows[4:].max(0)
        picked = np.flatnonzero(best > settings["confidence"])
        scores, classes = best[picked], rows[4:, picked].argmax(0)
        kept = wanted(classes, bundle)
        picked, scores, classes = picked[kept], scores[kept], classes[kept]
        boxes = corners(rows[:4, picked].T * (sides(bundle) if SHARES else 1))
        kept = suppress(boxes, scores, classes, settings["iou"], most)
        return boxes[kept], scores[kept], classes[kept]
    rows = rows[rows[:, 4] > settings["confidence"]][:most]
    rows = rows[wanted(rows[:, 5].astype(int), bundle)]
    boxes = corners(rows[:, :4] * sides(bundle)) if head == "rtdetr" else rows[:, :4]
    return boxes, rows[:, 4], rows[:, 5].astype(int)


def wanted(classes, bundle):
    """Which of `classes` are to be kept: an index."""
    return slice(None) if bundle.get("classes") is None else np.isin(classes, bundle["classes"])


def sides(bundle):
    """Width and height of the input, twice: they turn x, y, width and height from shares of the image into pixels."""
    width, height = bundle["imgsz"]["width"], bundle["imgsz"]["height"]
    return np.array([width, height, width, height], np.float32)


def corners(boxes):
    """Turn centre and size into left, top, right, bottom."""
    middle, half = boxes[:, :2], boxes[:, 2:] / 2
    return np.concatenate([middle - half, middle + half], 1)


def suppress(boxes, scores, classes, iou, most):
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
