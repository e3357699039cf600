"""What each task is judged by: our names for ultralytics' figures, the main one first."""

_BOX = {"mAP50-95": "metrics/mAP50-95(B)", "mAP50": "metrics/mAP50(B)"}
_BOX_TOO = {f"box {name}": key for name, key in _BOX.items()}

METRICS = {  # of boxes (B), masks (M), keypoints (P)
    "detect": _BOX,
    "rtdetr": _BOX,
    "obb": _BOX,
    "segment": {"mask mAP50-95": "metrics/mAP50-95(M)", "mask mAP50": "metrics/mAP50(M)", **_BOX_TOO},
    "pose": {"pose mAP50-95": "metrics/mAP50-95(P)", "pose mAP50": "metrics/mAP50(P)", **_BOX_TOO},
    "classify": {"top-1": "metrics/accuracy_top1", "top-5": "metrics/accuracy_top5"},
}
