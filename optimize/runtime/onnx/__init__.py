"""ONNX files, which ONNX Runtime and TensorRT share: counted, checked, halved, quantized."""

from ast import literal_eval
from pathlib import Path
from typing import Any


def metadata(path: Path) -> dict[str, Any]:
    """What an exported ONNX file says of itself: `names`, `end2end`, `imgsz`."""
    import onnx

    found = {prop.key: prop.value for prop in onnx.load(path, load_external_data=False).metadata_props}
    return {key: literal_eval(found[key]) for key in ("names", "end2end", "imgsz")}
