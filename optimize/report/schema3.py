"""results.json as versions up to 0.2 wrote it, schema 3: what became of its keys."""

from typing import Any

from pydantic import ValidationError

from optimize.precision import FP32
from optimize.quant.bf16 import Bf16
from optimize.quant.fp16 import Fp16
from optimize.quant.int8 import Int8
from optimize.runtime.litert import LiteRT
from optimize.runtime.ncnn import Ncnn
from optimize.runtime.onnxruntime import OnnxRuntime
from optimize.runtime.openvino import OpenVino
from optimize.runtime.tensorrt import TensorRT
from optimize.runtime.torch import Torch
from optimize.work import WORK

RUNTIMES = {one.info.name: one.info for one in (Torch, OnnxRuntime, OpenVino, TensorRT, Ncnn, LiteRT)}
PRECISIONS = {one.name: one for one in (FP32, Bf16.precision, Fp16.precision, Int8.precision)}
QUANT = {"Int8": "int8", "Fp16": "fp16"}  # by the name of the class; NoQuant made none


def translated(content: dict[str, Any]) -> dict[str, Any]:
    """`content` in schema 4; content that is invalid in schema 3 is returned unchanged, for validation to report."""
    try:
        rows = [_row(row) for row in content["results"]]
        stages = [_work(stage) for stage in content["stages"]]
        target = content["provenance"]["config"]["quant"]["_target_"]
        seen = content["disagreement"]
        compared = None if seen is None else {**seen, "worst": seen["pictures"]}
    except (KeyError, TypeError, AttributeError):
        return content
    quant = QUANT.get(str(target).rpartition(".")[2])
    return {**content, "results": rows, "stages": stages, "quant": quant, "disagreement": compared}


def _row(row: dict[str, Any]) -> dict[str, Any]:
    variant, work = row["variant"], row["quantization"]
    records = {"runtime": RUNTIMES[variant["runtime"]], "precision": PRECISIONS[variant["precision"]]}
    return {**row, **records, "quantization": None if work is None else _quantized(work)}


def _quantized(work: dict[str, Any]) -> dict[str, Any]:
    seen = work.get("calibration")
    return {**work, "stage": "quantize", "calibration": None if seen is None else _calibration(seen)}


def _calibration(seen: dict[str, Any]) -> dict[str, Any]:
    return {
        "images": seen["pictures"],
        "source": seen["source"],
        "seed": seen["seed"],
        "images_by_class": seen["pictures_by_class"],
        "without_labels": seen["without_labels"],
    }


def _work(stage: dict[str, Any]) -> Any:
    """A stage in schema 4; only its name is kept where its report has other keys."""
    if stage["stage"] == "qat":
        stage = {"distilled": False, **stage}
    try:
        return WORK.validate_python(stage)
    except ValidationError:
        return {"stage": stage["stage"]}
