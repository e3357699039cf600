"""What earlier runs measured of a checkpoint."""

from pathlib import Path

from optimize.bundle.measurement import Measurement
from optimize.device import Device
from optimize.errors import InputError
from optimize.pick import Measured
from optimize.provenance import Host
from optimize.report import results
from optimize.result import Result


def rows(run: str, sha256: str, imgsz: int, device: Device | None) -> list[Measured]:
    """The rows of `run` that are the checkpoint with `sha256` at `imgsz` px, in every runtime and precision.

    Those that were measured where the run was, and those that bench.py measured elsewhere and that were brought back.

    Args:
        run: folder of a run that has ended.
        device: where it must have been measured; None for anywhere.

    Raises:
        InputError: there is no such run, or nothing of it was measured on `device`.
    """
    report = results.read(Path(run) / "results.json")
    host = report.provenance.host
    brought = [one for one in report.measurements if device is None or _there(one, device)]
    differs = _differs(host, device) if device else None
    if differs and not brought:
        mend = (
            f", or its name to bench.py, --device='{device.name}', and bring that back" if report.measurements else ""
        )
        raise InputError(f"runs={run} was measured on {differs}; give runs of that device{mend}.")
    same = (r.variant for r in report.results if r.variant.runtime == "torch" and r.sha256 == sha256)
    tags = {variant.tags for variant in same if variant.imgsz == imgsz}
    ours = [r for r in report.results if tuple(tag for tag in r.variant.tags if tag != r.variant.precision) in tags]
    found = []
    for row in ours:
        if row.latency and not differs:
            found.append(_row(run, row, host.cpu or host.system, row.latency.arithmetic, row.latency.median_ms))
        for one in brought:
            if one.artefact == (row.sha256, row.variant.runtime, row.variant.precision):
                found.append(_row(run, row, one.device, one.arithmetic or "unknown arithmetic", one.median_ms))
    return found


def _row(run: str, row: Result, host: str, arithmetic: str, milliseconds: float) -> Measured:
    return Measured(
        run=run,
        host=host,
        name=row.variant.name,
        runtime=row.variant.runtime,
        arithmetic=arithmetic,
        latency_ms=milliseconds,
        size_mb=row.size_bytes / 1e6,
        flops=row.flops,
    )


def _there(one: Measurement, device: Device) -> bool:
    """Whether bench.py ran on `device`: on the same processor, or on a board whose name has the device's name in it."""
    if device.cpu:
        return one.cpu == device.cpu
    return device.name.lower() in one.device.lower() and (device.machine or "") in one.system


def _differs(host: Host, device: Device) -> str | None:
    """Where a run was, if that is another machine, as far as both tell what they are."""
    pairs = ((host.machine, device.machine), (host.cpu, device.cpu))
    return next(
        (f"{there}, {device.name} is {here}" for there, here in pairs if there and here and there != here), None
    )
