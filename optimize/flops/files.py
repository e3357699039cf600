"""Writes tables as files: JSON with all figures, CSV with a row per layer."""

import csv
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from optimize.errors import InputError
from optimize.flops.table import CONVENTION, Table
from optimize.measure.graph_cost import GraphLayer
from optimize.output import check_new

DERIVED = ("flops", "macs", "activation_bytes", "intensity")


def check(file: Path) -> Path:
    """Return `file` if it can be written.

    Raises:
        InputError: its suffix is not allowed, it exists, or its folder doesn't.
    """
    if file.suffix not in (".json", ".csv"):
        raise InputError(f"out={file} is not allowed; give a .json or a .csv.")
    check_new(f"out={file}", file)
    if not file.parent.is_dir():
        raise InputError(f"out={file} lies in a folder that does not exist; make {file.parent} first.")
    return file


def write(tables: list[Table], file: Path) -> None:
    """Write all tables into one .json or .csv; bytes and operations are whole numbers, unknown figures are null."""
    if file.suffix == ".json":
        file.write_text(json.dumps(content(tables), indent=2), encoding="utf-8")
        return
    rows = [
        {"model": table.model, "height": table.imgsz.height, "width": table.imgsz.width} | _figures(layer)
        for table in tables
        for layer in table.layers
    ]
    with file.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def content(tables: list[Table]) -> dict[str, Any]:
    """All figures; bytes and operations are whole numbers, unknown figures None."""
    return {"convention": CONVENTION, "models": [_content(table) for table in tables]}


def _content(table: Table) -> dict[str, Any]:
    whole = _figures(table.total)
    sums = {key: value for key, value in whole.items() if key not in ("name", "kind")}
    return {
        "model": table.model,
        "imgsz": [table.imgsz.height, table.imgsz.width],
        **sums,
        "trained": asdict(table.trained) if table.trained else None,
        "fused": asdict(table.fused) if table.fused else None,
        "uncounted": list(table.uncounted),
        "layers": [_figures(layer) for layer in table.layers],
    }


def _figures(layer: GraphLayer) -> dict[str, Any]:
    return asdict(layer) | {name: getattr(layer, name) for name in DERIVED}
