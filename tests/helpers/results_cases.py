"""An honest results.json with something in every field, and what strangers put into it."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from helpers import reports
from optimize.dataset import LeftOut
from optimize.device.device import load
from optimize.host.state import HostState
from optimize.input_size import square
from optimize.limits import Limits
from optimize.report import results
from optimize.result import Failure, Report
from optimize.work import Calibration, Candidate, FloatLayer, Quantized

QUANTIZATION = Quantized(
    reached=True,
    drop=0.1,
    max_drop=1.0,
    recipe="minmax",
    seconds=1.0,
    calibration=Calibration(4, "train", 0, {"dark": 2}, 0),
    candidates=(Candidate("minmax", 0.1, 1.5),),
    float_layers=(FloatLayer("model.0", 0.1, 0.1),),
)
MEASUREMENT = reports.measurement()
JUDGED = {"class_folds": {"dark": (0.6, 0.61), "bright": (0.5, 0.51)}, "implementation": "ultralytics 8.4.190"}
STATE = HostState(0.5, "performance", True, False, 1.5, 0.25, 61.5)


def whole() -> Report:
    """Rows of two models in torch and OpenVINO, and something of everything that a report may hold."""
    report = reports.report()
    first, *others = report.results
    rows = [
        first,
        *(row for row in others if row.variant.runtime == "openvino" and row.variant.imgsz == square(96)),
    ]
    rows[2] = replace(rows[2], quantization=QUANTIZATION)
    rows = [replace(row, accuracy=replace(row.accuracy, **JUDGED)) for row in rows]
    return replace(
        report,
        results=tuple(rows),
        provenance=replace(report.provenance, metric="ultralytics 8.4.190", timing=(STATE, STATE)),
        failures=(Failure("bf16", "openvino", "it failed."),),
        left_out=(LeftOut("val", 1, 8, {"no label": 1}, ("a.png",), {"dark": (1, 4)}),),
        limits=Limits(max_drop=1.0, latency_ms=20.0),
        measurements=(MEASUREMENT,),
        device=load("raspberry-pi-5"),
    )


def content(report: Report, folder: Path) -> dict[str, Any]:
    """What results.json of `report` says."""
    results.write(report, folder / "results.json")
    return json.loads((folder / "results.json").read_text())


def places(value: Any, place: tuple = ()):
    """Where every field lies; of a list's entries the last stands for all."""
    if place:
        yield place
    last = [(len(value) - 1, value[-1])] if isinstance(value, list) and value else []
    inside = value.items() if isinstance(value, dict) else last
    for key, one in inside:
        yield from places(one, (*place, key))
