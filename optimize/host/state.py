"""What changes how fast this machine is from one moment to the next: power settings, other work, CPU quota, heat."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

from optimize.host.resources import load_average

ROOT = Path("/")  # of the folders proc and sys, by which Linux describes itself


@dataclass(frozen=True)
class HostState:
    """The state of this machine at one moment; None where the system doesn't tell.

    Attributes:
        load: processes that ran or waited to run, on average over the last minute.
        governor: how Linux chooses the clock of the cores, e.g. `performance`; several joined by `+`.
        turbo: whether the clock may rise above its base.
        smt: whether two hardware threads share a core.
        quota: CPU time that the control group allows, in cores; None also where it is not limited.
        throttled_s: seconds, summed over cores, for which the quota has stopped this process' control group so far.
        temperature_c: of the hottest sensor.
    """

    load: float | None
    governor: str | None
    turbo: bool | None
    smt: bool | None
    quota: float | None
    throttled_s: float | None
    temperature_c: float | None


def host_state() -> HostState:
    return HostState(load_average(), _governor(), _turbo(), _smt(), quota(), _throttled(), _temperature())


def quota() -> float | None:
    """CPU time that this process may use by the quotas of its control groups, in cores; None where there is none."""
    return min((limit for group in _groups() if (limit := _quota(group)) is not None), default=None)


def _throttled() -> float | None:
    """Seconds for which any control group of this process was stopped by its quota; None where none counts them."""
    seconds = [
        int(value) * unit
        for group in _groups()
        for key, _, value in (line.partition(" ") for line in (_text(group / "cpu.stat") or "").splitlines())
        if (unit := {"throttled_usec": 1e-6, "throttled_time": 1e-9}.get(key)) is not None  # version 2, version 1
    ]
    return sum(seconds) if seconds else None


def _quota(group: Path) -> float | None:
    """The quota of one control group, in cores: of version 2 in cpu.max, of version 1 in two files."""
    most, _, period = (_text(group / "cpu.max") or "").partition(" ")
    if not period:
        most, period = (_text(group / f"cpu.cfs_{name}_us") or "" for name in ("quota", "period"))
    return int(most) / int(period) if most.isdigit() and period.isdigit() else None  # `max` and -1 are no limit


def _groups() -> Iterator[Path]:
    """The control groups that hold this process, its own first; each of them may have a quota.

    A container may see its group as the root, while the path that is told is the host's; then the root alone is there.
    """
    for line in (_text(ROOT / "proc" / "self" / "cgroup") or "").splitlines():
        _, controllers, place = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        root = ROOT / "sys" / "fs" / "cgroup" / controllers
        names = [name for name in place.split("/") if name not in ("", "..")]
        yield from (root.joinpath(*names[:depth]) for depth in range(len(names), -1, -1))


def _governor() -> str | None:
    files = (ROOT / "sys/devices/system/cpu").glob("cpu[0-9]*/cpufreq/scaling_governor")
    return "+".join(sorted({text for file in files if (text := _text(file))})) or None


def _turbo() -> bool | None:
    cpu = ROOT / "sys/devices/system/cpu"
    switches = {"0": True, "1": False}.get(_text(cpu / "intel_pstate/no_turbo") or "")
    return switches if switches is not None else {"0": False, "1": True}.get(_text(cpu / "cpufreq/boost") or "")


def _smt() -> bool | None:
    active = {"0": False, "1": True}.get(_text(ROOT / "sys/devices/system/cpu/smt/active") or "")
    logical, physical = psutil.cpu_count(), psutil.cpu_count(logical=False)
    return active if active is not None else logical > physical if logical and physical else None


def _temperature() -> float | None:
    if not hasattr(psutil, "sensors_temperatures"):  # macOS, Windows
        return None
    sensors = psutil.sensors_temperatures().values()
    return max((float(sensor.current) for group in sensors for sensor in group), default=None)


def _text(file: Path) -> str | None:
    """The content of a file that the system may lack, or refuse to read."""
    try:
        return file.read_text(encoding="utf-8").strip()
    except OSError:
        return None
