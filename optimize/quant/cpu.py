"""Chooses the CPU that int8 files are made for: the one that will run them, where a run names it."""

from dataclasses import replace
from pathlib import Path

from optimize.device.device import Device
from optimize.host.cpu import int8_cpu
from optimize.int8_cpu import HERE, KINDS, Int8Cpu, kind_of
from optimize.pruner.latency import samples


def chosen_cpu(table: Path | None, device: Device | None) -> Int8Cpu:
    """That of the latency table `table`, else of the device profile `device`, else of this machine.

    A table that can't be read is left to who needs its times, and says so.
    """
    content = samples.read(table) if table else None
    if content:
        return Int8Cpu(kind_of(content.flags), content.cpu, f"pruner.table={table}")
    if device is None:
        return int8_cpu()
    if device.int8 is None:
        return replace(int8_cpu(), source=f"{HERE}, since the profile of {device.name} has no `int8`")
    return Int8Cpu(device.int8, device.cpu or device.name, f"the profile of {device.name}")


def describe_cpu(cpu: Int8Cpu) -> str:
    """What int8 files are made for, as a sentence."""
    name = f"{cpu.name}, " if cpu.name else ""
    elsewhere = "" if cpu.source.startswith(HERE) else " Their times in this report are of this machine."
    slow = " Int8 gains less speed there than on a CPU with one." if cpu.is_slow else ""
    return f"Int8 files are made for a CPU with {KINDS[cpu.kind]}: {name}{cpu.source}.{elsewhere}{slow}"
