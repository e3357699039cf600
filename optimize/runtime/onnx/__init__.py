"""Counts, checks and quantizes ONNX files, for ONNX Runtime and TensorRT."""

from ast import literal_eval
from pathlib import Path
from typing import Any

METADATA = ("names", "end2end", "imgsz")


def metadata(path: Path) -> dict[str, Any]:
    """The metadata of an exported ONNX file: `names`, `end2end`, `imgsz`."""
    import onnx

    properties = {prop.key: prop.value for prop in onnx.load(path, load_external_data=False).metadata_props}
    return {key: literal_eval(properties[key]) for key in METADATA}
