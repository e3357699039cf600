"""`python -m optimize.profile_device FILE.yaml`: what this machine reaches, measured, as a device profile."""

import os
import platform
from argparse import ArgumentParser
from collections.abc import Iterator
from datetime import date
from importlib.metadata import version
from pathlib import Path

from optimize.device import Device, Figure, load, save
from optimize.errors import InputError, MeasurementError
from optimize.measure import machine
from optimize.measure.profile import CALLS
from optimize.measure.roofline import Machine
from optimize.runtime import cpu
from optimize.runtime.onnxruntime import OnnxRuntime
from optimize.runtime.openvino import OpenVino, cpu_computes_bf16
from optimize.sentences import one_sentence

ROUNDS, TIMES, ALIKE = 8, 2, 0.15  # the best of 2 x 24 calls, since other work makes nothing faster


def main() -> None:
    """Measure, and write the profile.

    Raises:
        InputError: there is no folder to write into, or the number of threads is none.
        MeasurementError: other work disturbs.
    """
    parser = ArgumentParser(
        "python -m optimize.profile_device",
        description="Measure what this machine reaches (peaks by runtime and arithmetic, bandwidth, memory), and write "
        "it as a device profile for device_profile=FILE.yaml. Takes seconds; leave the machine alone meanwhile.",
    )
    parser.add_argument("file", type=Path, help="the yaml to write, e.g. here.yaml; what is there is overwritten")
    parser.add_argument("--threads", type=int, help="CPU threads of every runtime (default: all cores)")
    given = parser.parse_args()
    if not given.file.parent.is_dir() or given.file.is_dir():
        raise InputError(f"{given.file} can't be written; give the path of a yaml in a folder that exists.")
    if given.threads is not None and given.threads < 1:
        raise InputError(f"--threads {given.threads} is not allowed; give 1 or more.")
    save(profiled(given.threads or len(os.sched_getaffinity(0))), given.file)
    for line in described(load(str(given.file))):
        print(line)
    print(given.file)


def profiled(threads: int) -> Device:
    """This machine, as its runtimes reach it on `threads` threads.

    Raises:
        MeasurementError: other work disturbs, so that a second measurement finds something else.
    """
    asked = {
        OpenVino.name: (OpenVino().profiler, {"fp32", "int8", *(["bf16"] if cpu_computes_bf16() else [])}),
        OnnxRuntime.name: (OnnxRuntime().profiler, {"fp32", "int8"}),
    }
    return device(best(*(machine.alone(asked, threads, ROUNDS) for _ in range(TIMES))), threads)


def best(first: Machine, second: Machine) -> Machine:
    """The better of both in every figure.

    Raises:
        MeasurementError: they don't agree; what is measured too low would make a bound that is none.
    """
    for what, one, again, unit in _figures(first, second):
        if min(one, again) < (1 - ALIKE) * max(one, again):
            raise MeasurementError(
                f"{what} reached {one:.0f} and then {again:.0f} billion {unit} a second; other work disturbs, so no "
                "profile is written: run it again on a quiet machine."
            )
    return Machine(
        {runtime: _better(peaks, second.peaks[runtime]) for runtime, peaks in first.peaks.items()},
        _better(first.bandwidth, second.bandwidth),
        _better(first.cache_bandwidth, second.cache_bandwidth),
    )


def _figures(first: Machine, second: Machine) -> Iterator[tuple[str, float, float, str]]:
    """Every figure: what it is of, both measurements, and what of it a second has."""
    for runtime, peaks in first.peaks.items():
        for arithmetic, peak in peaks.items():
            yield f"{runtime} in {arithmetic}", peak, second.peaks[runtime].get(arithmetic, 0.0), "operations"
    for where, one, again in (
        ("memory", first.bandwidth, second.bandwidth),
        ("the caches", first.cache_bandwidth, second.cache_bandwidth),
    ):
        for runtime, speed in one.items():
            yield f"{runtime} from {where}", speed, again[runtime], "bytes"


def _better(first: dict[str, float], second: dict[str, float]) -> dict[str, float]:
    return {name: max(value, second[name]) for name, value in first.items()}


def device(found: Machine, threads: int) -> Device:
    """The profile of this machine that says what was `found` on `threads` threads."""
    own = cpu.name() if cpu.name() != platform.machine() else None  # on ARM Linux tells the architecture at most
    name, load_average = own or cpu.board() or "a CPU without a name", os.getloadavg()[0]
    here = f"{name}, {threads} threads, load average {load_average:.1f}, {date.today()}"
    caches, memory = cpu.caches(), os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")

    def reached(value: float, what: str, runtime: str) -> Figure:
        source = (
            f"{what}, the best of {TIMES * ROUNDS * CALLS} calls by the profile of {runtime} {version(runtime)}; {here}"
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
            runtime: Figure(caches and round(caches / 1e6, 3), "measured", f"all data caches, as Linux tells; {here}")
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
