"""`python -m optimize.profile_device FILE.yaml`: measures the peaks of this machine and writes a device profile."""

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

# Each try takes the best of 30 calls, since other programs only slow calls down; tries go on until the two best agree.
ROUNDS, MOST, ALIKE = 3, 8, 0.15


def main() -> None:
    """Measure, and write the profile.

    Raises:
        InputError: the file exists, its folder does not, or the number of threads is not allowed.
        MeasurementError: other programs disturb the measurement.
    """
    parser = ArgumentParser(
        "python -m optimize.profile_device",
        description="Measure what this machine reaches (peaks by runtime and arithmetic, bandwidth, memory), and write "
        "it as a device profile for device_profile=FILE.yaml. Takes up to a minute; leave the machine alone meanwhile.",
    )
    parser.add_argument("file", type=Path, help="the yaml to write, e.g. here.yaml; a new file")
    parser.add_argument("--threads", type=int, help=meaning("threads"))
    arguments = parser.parse_args()
    path, threads = arguments.file, arguments.threads
    if not path.parent.is_dir() or path.is_dir():
        raise InputError(f"{path} can't be written; give the path of a yaml in a folder that exists.")
    check_new(str(path), path)
    if threads is not None and threads < 1:
        raise InputError(f"--threads {threads} is not allowed; give 1 or more.")
    if not os.access(path.parent, os.W_OK):
        raise InputError(f"{path} can't be written; give the path of a yaml in a folder that you may write into.")
    save(measure_device(threads or resources.cores()), path)
    for line in describe_profile(load(str(path))):
        print(line)
    print(path)


def measure_device(threads: int) -> Device:
    """Measure the peaks that the runtimes reach on this machine with `threads` threads.

    Raises:
        MeasurementError: other programs disturb the measurement; a bound from peaks that are too low would be wrong.
    """
    asked: dict[str, tuple[OpenProfiler, set[str]]] = {
        OpenVino.info.name: (OpenVino().profiler, {"fp32", "int8", *(["bf16"] if cpu_computes_bf16() else [])}),
        OnnxRuntime.info.name: (OnnxRuntime().profiler, {"fp32", "int8"}),
    }
    tries: list[Machine] = []
    while len(tries) < MOST:
        tries.append(machine.measure_machine(asked, threads, ROUNDS))
        if not unsure(tries):
            return device(best(tries), threads, len(tries))
    what, first, second, unit = unsure(tries)[0]
    raise MeasurementError(
        f"{what} reached {first:.0f} billion {unit} a second in the best and {second:.0f} in the second best of {MOST} "
        "tries; other programs disturb the measurement, so no profile is written: run it again on a quiet machine."
    )


def best(tries: Sequence[Machine]) -> Machine:
    """The largest value of each figure over all tries."""
    return Machine(
        peaks=_largest([machine.peaks for machine in tries]),
        bandwidth=_largest([machine.bandwidth for machine in tries]),
        cache_bandwidth=_largest([machine.cache_bandwidth for machine in tries]),
    )


def _largest(figures: list[dict[str, Any]]) -> dict[str, Any]:
    """The largest value of each key, in nested dicts as well."""
    keys = dict.fromkeys(key for by_key in figures for key in by_key)
    values = {key: [by_key[key] for by_key in figures if key in by_key] for key in keys}
    return {key: _largest(each) if isinstance(each[0], dict) else max(each) for key, each in values.items()}


def unsure(found: Sequence[Machine]) -> list[tuple[str, float, float, str]]:
    """The figures whose two best values differ: name, best, second best and unit of each."""
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
    """The profile of this machine with the figures in `found`, the best of `tries` on `threads` threads."""
    own = cpu.name() if cpu.name() != platform.machine() else None  # on ARM, Linux gives the architecture at most
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
            runtime: Figure(megabytes, "measured", f"all data caches, as the system reports; {here}")
            for runtime in found.peaks
        },
        memory=Figure(round(memory / 1e9, 3), "measured", f"all of it, as the system reports; {here}"),
        cache_bandwidth={
            r: reached(speed, "a tensor of 1 MiB, read and written", r) for r, speed in found.cache_bandwidth.items()
        },
        machine=platform.machine(),
        cpu=own,
        int8=cpu.int8_cpu().kind,
    )


def describe_profile(found: Device) -> list[str]:
    """A line of text for each unit of a profile."""
    return [
        f"{unit}: {', '.join(f'{figure.value:g} in {arithmetic}' for arithmetic, figure in peaks.items())} "
        f"(1e9 operations a second); {found.bandwidth[unit].value:g} GB/s from memory"
        for unit, peaks in found.peaks.items()
    ]


if __name__ == "__main__":
    with one_sentence():
        main()
