"""Reads the measurements of a checkpoint from earlier runs."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from optimize.bound.pick import Measured
from optimize.device.device import Device
from optimize.errors import InputError
from optimize.input_size import Size
from optimize.measure.latency import Latency
from optimize.measurement import Measurement
from optimize.provenance import Host
from optimize.report import results
from optimize.result import Report, Result
from optimize.runtime_info import RuntimeInfo
from optimize.verdict import gates


def rows(run: str, sha256: str | None, imgsz: Size, device: Device | None) -> list[Measured]:
    """The measurements in `run` of the checkpoint with `sha256` at `imgsz`, in every runtime and precision.

    They were made on the host of the run, or elsewhere by bench.py and imported. With a device, only those that ran on
    a unit of its profile count.

    Args:
        run: folder of a run that has ended.
        sha256: None for a model without weights, of which nothing can be measured.
        device: the device that must have been measured; None for any.

    Raises:
        InputError: there is no such run, or nothing of it was measured on `device`, or not on a unit of its profile.
    """
    report = results.read(Path(run) / "results.json")
    host = report.provenance.host
    here = device is None or _is(device, host.cpu, host.board, host.machine)
    brought = [m for m in report.measurements if device is None or _is(device, m.cpu, m.device, m.system)]
    if device is not None and not here and not brought:
        raise InputError(f"runs={run} was measured on {_elsewhere(host, device)}.")
    if device:
        timed = [row for row in report.results if row.latency and here]
        by_artefact = {row.artefact: row.runtime for row in report.results}
        _check_units(run, [*(row.runtime for row in timed), *(by_artefact[one.artefact] for one in brought)], device)
    found = []
    for own, row in _made_of(report, sha256, imgsz):
        unit = _unit(row.runtime, device)
        if unit is not None:
            for timing in _timings(row, report, here, brought):
                found.append(_measured(run, timing, own, row, unit, gates.of_row(row, own, report)))
    return found


@dataclass(frozen=True)
class _Timing:
    """One time of one row.

    Attributes:
        host: where it was measured.
        time: the latency.
        doubts: alarms about it.
    """

    host: str
    time: Latency | Measurement
    doubts: list[str]


def _timings(row: Result, report: Report, here: bool, brought: list[Measurement]) -> Iterator[_Timing]:
    """The times of `row`: that of its run if the run was `here`, on the device, then the imported ones."""
    if row.latency and here:
        yield _Timing(report.provenance.host.name, row.latency, gates.of_timing(report))
    for one in brought:
        if one.artefact == row.artefact:
            yield _Timing(one.device, one, gates.of_measurement(one, report))


def _check_units(run: str, runtimes: list[RuntimeInfo], device: Device) -> None:
    """Check that `device` has a unit for at least one of the timed runtimes, if there are any.

    Raises:
        InputError: it has none.
    """
    if runtimes and not any(_unit(runtime, device) for runtime in runtimes):
        raise InputError(
            f"runs={run} was measured on the {runtimes[0].processor}, and the profile of {device.name} is of its "
            f"{', '.join(device.peaks)}; leave runs= out, or give runs that used it."
        )


def _made_of(report: Report, sha256: str | None, imgsz: Size) -> Iterator[tuple[Result, Result]]:
    """The row of the checkpoint in torch, paired with every row made from it without pruning or training."""
    for own in report.results:
        if (own.variant.runtime, own.sha256, own.variant.imgsz) == ("torch", sha256, imgsz):
            for row in report.results:
                if row.variant.model == own.variant.model:
                    yield own, row


def _measured(run: str, timing: _Timing, own: Result, row: Result, unit: str, doubts: list[str]) -> Measured:
    """The record of `timing` for `row`, which was made from `own`; `doubts` are alarms about the row itself."""
    time = timing.time
    computed = time.arithmetic or row.variant.precision  # ncnn reports none, and runs what the file was made for
    return Measured(
        run=run,
        host=timing.host,
        name=row.variant.name,
        runtime=row.variant.runtime,
        arithmetic=time.arithmetic or "unknown arithmetic",
        latency_ms=time.median_ms,
        size_mb=row.size_bytes / 1e6,
        flops=row.flops,
        replaces=(unit, computed.split("+")[0]),
        points=100 * (row.accuracy.score - own.accuracy.score),
        metric=row.accuracy.metric,
        doubts=tuple(dict.fromkeys([*doubts, *timing.doubts])),
    )


def _unit(runtime: RuntimeInfo, device: Device | None) -> str | None:
    """The unit of `device` that runs models in `runtime`, of a measured profile its own; None where there is none."""
    if device is None:
        return runtime.processor
    if runtime.name in device.peaks:
        return runtime.name
    measured = device.cpu is not None and "cpu" not in device.peaks  # such a profile has runtimes in place of the CPU
    units = {*device.peaks, "cpu"} if measured else set(device.peaks)
    return runtime.processor if runtime.processor in units else None


def _is(device: Device, cpu: str | None, board: str | None, system: str) -> bool:
    """Whether a machine is `device`: by the processor where its profile names one, else by board and architecture.

    The name of the board must contain the device's name as whole words: a Raspberry Pi 500 is not a Raspberry Pi 5.
    """
    if device.cpu:
        return cpu == device.cpu
    named = re.search(rf"(?<!\w){re.escape(device.name)}(?!\w)", board or "", re.IGNORECASE)
    return bool(named) and (device.machine or "") in system


def _elsewhere(host: Host, device: Device) -> str:
    """Where a run was measured instead of on `device`, and what to give instead."""
    if device.machine and host.machine != device.machine:
        where = f"{host.machine}, {device.name} is {device.machine}"
    elif device.cpu:
        where = f"{host.cpu or 'a processor without a name'}, {device.name} is {device.cpu}"
    else:
        where = f"{host.board or 'a board without a name'}, which may not be {device.name}"
    bench = f", or import what bench.py measured there with --device='{device.name}'"
    return f"{where}; give runs of that device{'' if device.cpu else bench}"
