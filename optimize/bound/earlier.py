"""What earlier runs measured of a checkpoint."""

import re
from collections.abc import Iterator
from pathlib import Path

from optimize.bound.pick import Measured
from optimize.device.device import Device
from optimize.errors import InputError
from optimize.measure.latency import Latency
from optimize.measurement import Measurement
from optimize.provenance import Host
from optimize.report import results
from optimize.result import Report, Result
from optimize.verdict import gates
from optimize.verdict.plain import RUNTIMES


def rows(run: str, sha256: str | None, imgsz: int, device: Device | None) -> list[Measured]:
    """The rows of `run` that are the checkpoint with `sha256` at `imgsz` px, in every runtime and precision.

    Those that were measured where the run was, and those that bench.py measured elsewhere and that were brought back.
    Of a device only those that ran on a unit that its profile has.

    Args:
        run: folder of a run that has ended.
        sha256: None for a model without weights, of which nothing can be measured.
        device: where it must have been measured; None for anywhere.

    Raises:
        InputError: there is no such run, or nothing of it was measured on `device`, or not on a unit of its profile.
    """
    report = results.read(Path(run) / "results.json")
    host = report.provenance.host
    here = device is None or _is(device, host.cpu, host.board, host.machine)
    brought = [m for m in report.measurements if device is None or _is(device, m.cpu, m.device, m.system)]
    if device is not None and not here and not brought:
        raise InputError(f"runs={run} was measured on {_elsewhere(host, device)}.")
    timed = [row for row in report.results if row.latency and here]
    runtimes = [*(row.variant.runtime for row in timed), *(one.runtime for one in brought)]
    if device and runtimes and not any(_unit(runtime, device) for runtime in runtimes):
        raise InputError(
            f"runs={run} was measured on the {_processor(runtimes[0])}, and the profile of {device.name} is of its "
            f"{', '.join(device.peaks)}; leave runs= out, or give runs that used it."
        )
    found = []
    for own, row in _made_of(report, sha256, imgsz):
        unit = _unit(row.variant.runtime, device) if device else _processor(row.variant.runtime)
        if unit is None:
            continue
        same = [one for one in brought if one.artefact == (row.sha256, row.variant.runtime, row.variant.precision)]
        times: list[tuple[str, Latency | Measurement, list[str]]] = [
            (one.device, one, gates.of_measurement(one, report)) for one in same
        ]
        if row.latency and here:
            times.insert(0, (host.name, row.latency, gates.of_timing(report)))
        for where, time, doubts in times:
            found.append(_measured(run, where, time, own, row, unit, [*gates.of_row(row, own, report), *doubts]))
    return found


def _made_of(report: Report, sha256: str | None, imgsz: int) -> Iterator[tuple[Result, Result]]:
    """The checkpoint itself in torch, with every row that it became without being pruned or trained."""
    for own in report.results:
        if (own.variant.runtime, own.sha256, own.variant.imgsz) == ("torch", sha256, imgsz):
            for row in report.results:
                if row.variant.model == own.variant.model:
                    yield own, row


def _measured(
    run: str, where: str, time: Latency | Measurement, own: Result, row: Result, unit: str, doubts: list[str]
) -> Measured:
    computed = time.arithmetic or row.variant.precision  # ncnn doesn't tell, and runs what the file was made for
    return Measured(
        run=run,
        host=where,
        name=row.variant.name,
        runtime=row.variant.runtime,
        arithmetic=time.arithmetic or "unknown arithmetic",
        latency_ms=time.median_ms,
        size_mb=row.size_bytes / 1e6,
        flops=row.flops,
        replaces=(unit, computed.split("+")[0]),
        points=100 * (row.accuracy.score - own.accuracy.score),
        metric=row.accuracy.metric,
        doubts=tuple(dict.fromkeys(doubts)),
    )


def _processor(runtime: str) -> str:
    """What our runtimes and bench.py compute on: TensorRT on the GPU, all others on the CPU."""
    return "gpu" if runtime == "tensorrt" else "cpu"


def _unit(runtime: str, device: Device) -> str | None:
    """The unit of `device` that runs models in `runtime`, of a measured profile its own; None where there is none."""
    if runtime in device.peaks:
        return runtime
    unit = _processor(runtime)
    units = {"cpu" if known in RUNTIMES else known for known in device.peaks}  # runtimes are measured on the CPU
    return unit if unit in units else None


def _is(device: Device, cpu: str | None, board: str | None, system: str) -> bool:
    """Whether that is `device`: the same processor where its profile names one, else a board of its architecture.

    Such a board has the device's name in its own, as whole words: a Raspberry Pi 500 is no Raspberry Pi 5.
    """
    if device.cpu:
        return cpu == device.cpu
    named = re.search(rf"(?<!\w){re.escape(device.name)}(?!\w)", board or "", re.IGNORECASE)
    return bool(named) and (device.machine or "") in system


def _elsewhere(host: Host, device: Device) -> str:
    """Where a run was that was not on `device`, and what to give instead."""
    if device.machine and host.machine != device.machine:
        where = f"{host.machine}, {device.name} is {device.machine}"
    elif device.cpu:
        where = f"{host.cpu or 'a processor without a name'}, {device.name} is {device.cpu}"
    else:
        where = f"{host.board or 'a board that does not tell its name'}, which may not be {device.name}"
    bench = f", or bring back what bench.py measured there with --device='{device.name}'"
    return f"{where}; give runs of that device{'' if device.cpu else bench}"
