"""The state of the machine, read from folders that stand for /proc and /sys, and from a quota that really stops."""

import os
import subprocess
import sys
from pathlib import Path
from time import monotonic
from types import SimpleNamespace
from uuid import uuid4

import psutil
import pytest

from optimize.host import state
from optimize.host.state import HostState, host_state

CPU = "sys/devices/system/cpu"
STAT = "usage_usec 5\nnr_periods {0}\nnr_throttled {0}\nthrottled_usec {1}\n"


@pytest.fixture
def tree(tmp_path, monkeypatch):
    """Write files of a machine that describes itself in `tmp_path`, and hear nothing of this one."""
    monkeypatch.setattr(state, "ROOT", tmp_path)
    monkeypatch.setattr(state, "load_average", lambda: None)
    monkeypatch.setattr(psutil, "sensors_temperatures", dict, raising=False)
    monkeypatch.setattr(psutil, "cpu_count", lambda logical=True: None)

    def write(**files: str) -> None:
        for name, text in files.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(text)

    return lambda files: write(**files)


def test_a_system_that_tells_nothing_has_nothing(tree, monkeypatch):
    nothing = HostState(None, None, None, None, None, None, None)
    assert host_state() == nothing
    monkeypatch.delattr(psutil, "sensors_temperatures")
    assert host_state() == nothing


def test_a_laptop_with_intels_driver(tree, monkeypatch):
    tree(
        {
            f"{CPU}/cpu0/cpufreq/scaling_governor": "powersave\n",
            f"{CPU}/cpu1/cpufreq/scaling_governor": "powersave\n",
            f"{CPU}/intel_pstate/no_turbo": "0\n",
            f"{CPU}/smt/active": "1\n",
            "proc/self/cgroup": "0::/user.slice/a.scope\n",
            "sys/fs/cgroup/user.slice/a.scope/cpu.max": "max 100000\n",
            "sys/fs/cgroup/user.slice/a.scope/cpu.stat": STAT.format(0, 0),
        }
    )
    sensors = {"coretemp": [SimpleNamespace(current=61.0), SimpleNamespace(current=64.5)], "acpitz": []}
    monkeypatch.setattr(psutil, "sensors_temperatures", lambda: sensors, raising=False)
    monkeypatch.setattr(state, "load_average", lambda: 0.25)
    assert host_state() == HostState(0.25, "powersave", True, True, None, 0.0, 64.5)


@pytest.mark.parametrize(
    ("files", "turbo"),
    [
        ({"intel_pstate/no_turbo": "1"}, False),
        ({"cpufreq/boost": "1"}, True),
        ({"cpufreq/boost": "0"}, False),
        ({}, None),
    ],
)
def test_turbo_is_a_switch_of_intels_driver_or_of_all_others(files, turbo, tree):
    tree({f"{CPU}/{name}": text for name, text in files.items()})
    assert host_state().turbo is turbo


def test_cores_of_two_kinds_may_have_two_governors(tree):
    tree({f"{CPU}/cpu{i}/cpufreq/scaling_governor": kind for i, kind in enumerate(("schedutil", "performance"))})
    assert host_state().governor == "performance+schedutil"


def test_smt_is_counted_where_no_file_tells(tree, monkeypatch):
    monkeypatch.setattr(psutil, "cpu_count", lambda logical=True: 8 if logical else 4)
    assert host_state().smt is True
    tree({f"{CPU}/smt/active": "0"})
    assert host_state().smt is False


def test_the_smallest_quota_of_all_groups_around_the_process_holds(tree):
    tree(
        {
            "proc/self/cgroup": "0::/a/b/c\n",
            "sys/fs/cgroup/cpu.stat": "usage_usec 5\n",  # the root has no quota
            "sys/fs/cgroup/a/cpu.max": "400000 100000\n",
            "sys/fs/cgroup/a/cpu.stat": STAT.format(2, 1_500_000),
            "sys/fs/cgroup/a/b/cpu.max": "75000 50000\n",
            "sys/fs/cgroup/a/b/cpu.stat": STAT.format(1, 250_000),
            "sys/fs/cgroup/a/b/c/cpu.max": "max 100000\n",
        }
    )
    assert host_state().quota == 1.5
    assert host_state().throttled_s == 1.75


def test_version_1_counts_in_other_files_and_units(tree):
    tree(
        {
            "proc/self/cgroup": "5:memory:/docker/1\n4:cpu,cpuacct:/docker/1\n0::/docker/1\n",
            "sys/fs/cgroup/cpu,cpuacct/docker/1/cpu.cfs_quota_us": "50000\n",
            "sys/fs/cgroup/cpu,cpuacct/docker/1/cpu.cfs_period_us": "100000\n",
            "sys/fs/cgroup/cpu,cpuacct/docker/1/cpu.stat": "nr_periods 3\nnr_throttled 1\nthrottled_time 2500000000\n",
            "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "-1\n",
            "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000\n",
        }
    )
    assert (host_state().quota, host_state().throttled_s) == (0.5, 2.5)


@pytest.mark.parametrize("place", ["/../../docker/1", "/docker/0123", "/"])
def test_a_container_sees_its_own_group_as_the_root(place, tree):
    tree(
        {
            "proc/self/cgroup": f"0::{place}\n",
            "sys/fs/cgroup/cpu.max": "200000 100000\n",
            "sys/fs/cgroup/cpu.stat": STAT.format(1, 1_000_000),
        }
    )
    assert (host_state().quota, host_state().throttled_s) == (2, 1)


BUSY = """
import os, sys, time
group = sys.argv[1]
with open(f"{group}/cgroup.procs", "w") as file:
    file.write(str(os.getpid()))
from optimize.host.state import host_state
before, end = host_state(), time.monotonic() + 1
while time.monotonic() < end:
    pass
after = host_state()
print(before.quota, after.throttled_s - before.throttled_s)
"""


def limited() -> Path | None:
    """A new control group with a quota of a tenth of a core, where this system lets us make one."""
    for root, written in (
        ("", {"cpu.max": "5000 50000"}),
        ("cpu", {"cpu.cfs_period_us": "50000", "cpu.cfs_quota_us": "5000"}),
    ):
        group = Path("/sys/fs/cgroup", root, f"yolo-optimize-{uuid4().hex[:8]}")
        try:
            group.mkdir()
        except OSError:
            continue
        if all((group / name).is_file() for name in written):  # the kernel made them
            for name, text in written.items():
                (group / name).write_text(text)
            return group
        group.rmdir()
    return None


@pytest.mark.command
def test_a_process_that_a_quota_really_stops_is_noticed():
    group = limited() if sys.platform == "linux" else None
    if group is None:
        pytest.skip("no control group with a CPU quota can be made here")
    try:
        began = monotonic()
        done = subprocess.run([sys.executable, "-c", BUSY, str(group)], capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        quota, throttled = map(float, done.stdout.split())
        assert quota == 0.1
        assert 0 < throttled <= (monotonic() - began) * (os.cpu_count() or 1)
    finally:
        group.rmdir()
