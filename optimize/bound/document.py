"""The bounds, measurements and verdict of several models as one JSON document."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from optimize.bound.pick import Candidate, Measured, misses
from optimize.device.bound import Bound
from optimize.device.device import Device
from optimize.limits import Limits


def content(
    candidates: Sequence[Candidate], device: Device | None, limits: Limits, notes: list[str], verdict: list[str]
) -> dict[str, Any]:
    """The document; operations and bytes are whole numbers, times milliseconds, unknown figures None."""
    return {
        "device": device.name if device else None,
        "limits": asdict(limits),
        "models": [_model(candidate, limits) for candidate in candidates],
        "notes": notes,
        "verdict": verdict,
    }


def _model(candidate: Candidate, limits: Limits) -> dict[str, Any]:
    cost = candidate.cost
    return {
        "model": candidate.name,
        "imgsz": [candidate.imgsz.height, candidate.imgsz.width],
        "flops": cost.flops,
        "parameters": cost.parameters,
        "possible": candidate.possible(limits),
        "bounds": [_bound(candidate, bound, limits) for bound in candidate.bounds],
        "measured": [_measured(row, limits) for row in candidate.measured],
    }


def _bound(candidate: Candidate, bound: Bound, limits: Limits) -> dict[str, Any]:
    counted = [layer for layer in candidate.cost.layers if layer.flops]
    known = None if bound.layers is None else zip(counted, bound.layers, strict=True)
    return {
        "unit": bound.unit,
        "arithmetic": bound.arithmetic,
        "bound_ms": bound.bound_ms,
        "winograd_ms": bound.winograd_ms,
        "memory_bytes": round(bound.memory),
        "fits_memory": bound.fits,
        "ruled_out": misses(candidate.cost, bound, limits),
        "layers": known
        and [
            {"name": layer.name, "flops": layer.flops, "bound_ms": limit.bound_ms, "bound": limit.bound}
            for layer, limit in known
        ],
    }


def _measured(row: Measured, limits: Limits) -> dict[str, Any]:
    figures = {name: value for name, value in asdict(row).items() if name != "replaces"}
    return {**figures, "meets_limits": not row.doubts and row.meets(limits)}
