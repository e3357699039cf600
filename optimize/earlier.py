"""What earlier runs measured of a checkpoint."""

from pathlib import Path

from optimize.device import Device
from optimize.errors import InputError
from optimize.pick import Measured
from optimize.provenance import Host
from optimize.report import results


def rows(run: str, sha256: str, imgsz: int, device: Device | None) -> list[Measured]:
    """The rows of `run` that are the checkpoint with `sha256` at `imgsz` px, in every runtime and precision.

    Args:
        run: folder of a run that has ended.
        device: where it must have run; None for anywhere.

    Raises:
        InputError: there is no such run, or it ran on another machine.
    """
    report = results.read(Path(run) / "results.json")
    host = report.provenance.host
    _check(run, host, device)
    same = (r.variant for r in report.results if r.variant.runtime == "torch" and r.sha256 == sha256)
    tags = {variant.tags for variant in same if variant.imgsz == imgsz}
    return [
        Measured(
            run=run,
            host=host.cpu or host.system,
            name=row.variant.name,
            runtime=row.variant.runtime,
            arithmetic=row.latency.arithmetic,
            latency_ms=row.latency.median_ms,
            size_mb=row.size_bytes / 1e6,
            flops=row.flops,
        )
        for row in report.results
        if row.latency and tuple(tag for tag in row.variant.tags if tag != row.variant.precision) in tags
    ]


def _check(run: str, host: Host, device: Device | None) -> None:
    """A run on another machine says nothing of the device, as far as both tell what they are."""
    for there, here in ((host.machine, device.machine), (host.cpu, device.cpu)) if device else ():
        if there and here and there != here:
            raise InputError(f"runs={run} was measured on {there}, {device.name} is {here}; give runs of that device.")
