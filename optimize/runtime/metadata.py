"""What an exported model says of itself, in every format."""

from ast import literal_eval
from pathlib import Path

import onnx
from ultralytics.utils import YAML

from optimize.runtime.litert import graph as litert_graph


def metadata_of(path: Path) -> dict:
    """What stands in an exported file, or folder of OpenVINO or ncnn, of what `metadata` wrote, as it was before."""
    if path.is_dir():
        return YAML.load(path / "metadata.yaml")
    if path.suffix == ".tflite":
        found = litert_graph.metadata(path)
        return found | {"names": {int(i): name for i, name in found["names"].items()}}  # JSON's keys are strings
    found = {prop.key: prop.value for prop in onnx.load(path, load_external_data=False).metadata_props}
    return {key: literal_eval(found[key]) for key in ("names", "end2end", "imgsz")}
