"""`python -m optimize.profile_device FILE.yaml`: what this machine reaches, measured, as a device profile."""

import os
import platform
from argparse import ArgumentParser
from collections.abc import Iterator, Sequence
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any

from optimize.device.device import Device, Figure, load, save
from optimize.errors import InputError, MeasurementError
from optimize.host import cpu, resources
from optimize.keys import meaning
from optimize.measure import machine
from optimize.measure.profile import CALLS, OpenProfiler
from optimize.measure.roofline import Machine
from optimize.output import check_new
from optimize.runtime.onnxruntime import OnnxRuntime
from optimize.runtime.openvino import OpenVino, cpu_computes_bf16
from optimize.sentences import one_sentence

# The best of 24 calls each time, since other work makes nothing faster; again until the two best of every figure agree.
ROUNDS, MOST, ALIKE = 8, 8, 0.15


def main() -> None:
    """Measure, and write the profile.

    Raises:
        InputError: the file exists, there is no folder to write it into, or the number of threads is none.
        MeasurementError: other work disturbs.
    """
    parser = ArgumentParser(
        "python -m optimize.profile_device",
        description="Measure what this machine reaches (peaks by runtime and arithmetic, bandwidth, memory), and write "
        "it as a device profile for device_profile=FILE.yaml. Takes up to a minute; leave the machine alone meanwhile.",
    )
    parser.add_argument("file", type=Path, help="the yaml to write, e.g. here.yaml; a new file")
    parser.add_argument("--threads", type=int, help=meaning("threads"))
    given = parser.parse_args()
    if not given.file.parent.is_dir() or given.file.is_dir():
        raise InputError(f"{given.file} can't be written; give the path of a yaml in a folder that exists.")
    check_new(str(given.file), given.file)
    if given.threads is not None and given.threads < 1:
        raise InputError(f"--threads {given.threads} is not allowed; give 1 or more.")
    if not os.access(given.file.parent, os.W_OK):
        raise InputError(f"{given.file} can't be written; give the path of a yaml in a folder that you may write into.")
    save(profiled(given.threads or resources.cores()), given.file)
    for line in described(load(str(given.file))):
        print(line)
    print(given.file)


def profiled(threads: int) -> Device:
    """This machine, as its runtimes reach it on `threads` threads.

    Raises:
        MeasurementError: other work disturbs: what is measured too low would make a bound that is none.
    """
    asked: dict[str, tuple[OpenProfiler, set[str]]] = {
        OpenVino.info.name: (OpenVino().profiler, {"fp32", "int8", *(["bf16"] if cpu_computes_bf16() else [])}),
        OnnxRuntime.info.name: (OnnxRuntime().profiler, {"fp32", "int8"}),
    }
    found: list[Machine] = []
    while len(found) < MOST:
        found.append(machine.measure_machine_alone(asked, threads, ROUNDS))
        if not unsure(found):
            return device(best(found), threads, len(found))
    what, first, second, unit = unsure(found)[0]
    raise MeasurementError(
        f"{what} reached {first:.0f} and at the next best of {MOST} tries {second:.0f} billion {unit} a second; other "
        "work disturbs, so no profile is written: run it again on a quiet machine."
    )


def best(found: Sequence[Machine]) -> Machine:
    """The best of each figure."""
    return Machine(
        peaks=_best([one.peaks for one in found]),
        bandwidth=_best([one.bandwidth for one in found]),
        cache_bandwidth=_best([one.cache_bandwidth for one in found]),
    )


def _best(found: list[dict[str, Any]]) -> dict[str, Any]:
    """Of each key the largest value, in nested dicts as well."""
    keys = dict.fromkeys(key for one in found for key in one)
    values = {key: [one[key] for one in found if key in one] for key in keys}
    return {key: _best(own) if isinstance(own[0], dict) else max(own) for key, own in values.items()}


def unsure(found: Sequence[Machine]) -> list[tuple[str, float, float, str]]:
    """The figures whose two best values differ: what they are of, both, and what of it a second has."""
    every: dict[tuple[str, str], list[float]] = {}
    for one in found:
        for what, value, unit in _figures(one):
            every.setdefault((what, unit), []).append(value)
    apart = []
    for (what, unit), values in every.items():
        second, first = sorted([0.0, *values])[-2:]
        if second < (1 - ALIKE) * first:
            apart.append((what, first, second, unit))
    return apart


def _figures(one: Machine) -> Iterator[tuple[str, float, str]]:
    for runtime, peaks in one.peaks.items():
        for arithmetic, peak in peaks.items():
            yield f"{runtime} in {arithmetic}", peak, "operations"
    for where, speeds in ("memory", one.bandwidth), ("the caches", one.cache_bandwidth):
        for runtime, speed in speeds.items():
            yield f"{runtime} from {where}", speed, "bytes"


def device(found: Machine, threads: int, tries: int) -> Device:
    """The profile of this machine that says what was `found` on `threads` threads as the best of `tries`."""
    own = cpu.name() if cpu.name() != platform.machine() else None  # on ARM Linux tells the architecture at most
    name, load = own or cpu.board() or "a CPU without a name", resources.load_average()
    said = [name, f"{threads} threads", *([] if load is None else [f"load average {load:.1f}"]), str(date.today())]
    here, caches, memory = ", ".join(said), cpu.caches(), resources.memory()
    megabytes = None if caches is None else round(caches / 1e6, 3)

    def reached(value: float, what: str, runtime: str) -> Figure:
        source = (
            f"{what}, the best of {tries * ROUNDS * CALLS} calls by the profile of {runtime} {version(runtime)}; {here}"
        )
        return Figure(float(f"{value:.5g}"), "measured", source)

    return Device(
        name=own or cpu.board() or platform.node(),
        peaks={
            runtime: {
                arithmetic: reached(peak, "convolutions of 3x3 of 64 to 256 channels", runtime)
                for arithmetic, peak in peaks.items()
            }
            for runtime, peaks in found.peaks.items()
        },
        bandwidth={
            r: reached(speed, "a tensor of 64 MiB, read and written", r) for r, speed in found.bandwidth.items()
        },
        cache={
            runtime: Figure(megabytes, "measured", f"all data caches, as the system tells; {here}")
            for runtime in found.peaks
        },
        memory=Figure(round(memory / 1e9, 3), "measured", f"all of it, as the system tells; {here}"),
        cache_bandwidth={
            r: reached(speed, "a tensor of 1 MiB, read and written", r) for r, speed in found.cache_bandwidth.items()
        },
        machine=platform.machine(),
        cpu=own,
    )


def described(found: Device) -> list[str]:
    """What a profile says, one line for each unit."""
    return [
        f"{unit}: {', '.join(f'{figure.value:g} in {arithmetic}' for arithmetic, figure in peaks.items())} "
        f"(1e9 operations a second); {found.bandwidth[unit].value:g} GB/s from memory"
        for unit, peaks in found.peaks.items()
    ]


if __name__ == "__main__":
    with one_sentence():
        main()
