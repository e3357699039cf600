"""Make a YOLO module ready to be traced by an exporter, and write it as ONNX."""

import warnings
from pathlib import Path

import numpy as np
import onnx
import torch
from torch import nn
from ultralytics import __version__ as ultralytics_version
from ultralytics.nn.modules.block import DFL
from ultralytics.nn.tasks import BaseModel
from ultralytics.utils.export.engine import _NormalizeCoords

from optimize.input_size import Size
from optimize.yolo.checkpoint import deployed, keypoints, task
from optimize.yolo.depth import CUTTING
from optimize.yolo.tasks import BY_NAME, task_of_head

OPSET = 18  # ONNX Runtime's static quantization rejects 21 and later; torch's TorchScript exporter ends at 20


class _ContiguousDFL(DFL):
    """The expected value of a softmax, computed along the anchors as they lie in memory.

    ONNX Runtime turns a softmax over any axis but the last around and back: a tenth of the time of an int8 YOLOv8n.
    """

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, 4 * bins, anchors) -> (B, 4, anchors)."""
        b, _, anchors = x.shape
        x = x.view(b, 4, self.c1, anchors)
        e = (x - x.amax(2, keepdim=True)).exp()
        return ((self.conv.weight.view(1, 1, 1, self.c1) @ e) / e.sum(2, keepdim=True)).view(b, 4, anchors)


class _WithoutBlocks(nn.Module):
    """A C2f or its kin whose blocks are all gone, without the cut of what its first convolution returns.

    ONNX Runtime copies the parts, and copies them together again.
    """

    cv1: nn.Module
    cv2: nn.Module

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.cv2(self.cv1(x))


def traceable(model: BaseModel) -> BaseModel:
    """`deployed(model)` that returns only its predictions: one tensor, or (predictions, prototypes) for segmentation.

    Heads of ultralytics return their raw maps as well unless `export` is set.
    """
    module = deployed(model)
    for part in module.modules():
        if hasattr(part, "export"):
            part.export = True
        if type(part) is DFL:
            part.__class__ = _ContiguousDFL
        if type(part) in CUTTING and not len(part.m):
            part.__class__ = _WithoutBlocks
    return module


def in_shares(module: BaseModel, imgsz: Size) -> nn.Module:
    """`module` with boxes and keypoints in shares of the image, as ultralytics reads them from a .tflite file."""
    if not BY_NAME[task(module)].in_pixels:
        return module
    return _NormalizeCoords(module, imgsz.height, imgsz.width, module.task, len(module.names), keypoints(module))


def in_pixels(found: dict, outputs: list[np.ndarray]) -> list[np.ndarray]:
    """What a model `in_shares` gave, in pixels, in place; `found` is its metadata."""
    made_for = task_of_head(found["task"], found["head"])
    if made_for and made_for.in_pixels:
        (height, width), rows = found["imgsz"], outputs[0]
        rows[:, [0, 2]] *= width
        rows[:, [1, 3]] *= height
        if made_for.keypoints:
            first, step = 4 + len(found["names"]), found["kpt_shape"][1]
            rows[:, first::step] *= width
            rows[:, first + 1 :: step] *= height
    return outputs


def example_input(model: BaseModel, imgsz: Size) -> torch.Tensor:
    """Zeros of the one static shape that is exported: (1, channels, height, width), float32."""
    return torch.zeros(1, model.yaml.get("channels", 3), imgsz.height, imgsz.width)


def traced(module: nn.Module, example: torch.Tensor) -> torch.jit.ScriptModule:
    """`module` as TorchScript, with the anchors as constants."""
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the tracer's, of its deprecation and of shapes, which are all static
        module(example)  # the head makes its anchors at the first call; traced, they must be constants
        return torch.jit.trace(module, example, strict=False, check_trace=False)


def metadata(model: BaseModel, imgsz: Size) -> dict:
    """What stock ultralytics reads from an exported file, so that `YOLO(file).val()` needs nothing else."""
    found = {
        "description": "YOLO model exported by yolo-optimize",
        "version": ultralytics_version,
        "license": "AGPL-3.0",
        "task": model.task,
        "head": type(model.model[-1]).__name__,
        "stride": int(max(model.stride)),
        "batch": 1,
        "imgsz": [imgsz.height, imgsz.width],
        "names": dict(enumerate(model.names)) if isinstance(model.names, list) else dict(model.names),
        "channels": model.yaml.get("channels", 3),
        "end2end": bool(getattr(model, "end2end", False)),
        "args": {"batch": 1, "dynamic": False, "nms": False},
    }
    if shape := keypoints(model):
        found["kpt_shape"] = list(shape)
        if hasattr(model, "kpt_names"):
            found["kpt_names"] = model.kpt_names
    return found


def to_onnx(model: BaseModel, imgsz: Size, path: Path, opset: int = OPSET) -> None:
    """Write the deployed graph of `model` as ONNX: float32, static shape, batch 1, constants folded."""
    module, example = traceable(model), example_input(model, imgsz)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the tracer's, of its deprecation and of shapes, which are all static
        module(example)  # the head makes its anchors at the first call; traced, they must be constants
        torch.onnx.export(
            module,
            (example,),
            str(path),
            opset_version=opset,
            dynamo=False,
            input_names=["images"],
            output_names=list(BY_NAME[task(model)].output_names),
        )
    import onnxslim  # takes half a second, and most work exports nothing

    slim = onnxslim.slim(onnx.load(path))
    onnx.helper.set_model_props(slim, {key: str(value) for key, value in metadata(module, imgsz).items()})
    onnx.save(slim, path)
