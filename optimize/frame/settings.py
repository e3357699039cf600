"""How frames become the network's input and its output becomes objects, as bundle.json holds it."""

from collections.abc import Mapping
from typing import Any

from optimize.input_size import Size

# As ultralytics' predict has them.
NMS = {"confidence": 0.25, "iou": 0.7, "max_detections": 300}
LETTERBOX = {"grey": 114}


def settings(imgsz: Size, head: str, letterbox: bool, names: Mapping[int, str]) -> dict[str, Any]:
    """The settings that `letterbox.fit` and `boxes.objects` read.

    Args:
        imgsz: of the input.
        head: `one2many`, `end2end` or `rtdetr`, see `boxes.decode`.
        letterbox: whether the frame keeps its proportions.
        names: of the classes, by their numbers.
    """
    return {
        "imgsz": {"height": imgsz.height, "width": imgsz.width},
        "head": head,
        "letterbox": LETTERBOX if letterbox else None,
        "nms": NMS,
        "names": [names[number] for number in sorted(names)],
    }
