"""What a system tells of the machine, and what it lacks, whatever system it is."""

import os
import subprocess
import sys
import time
from types import SimpleNamespace
from typing import ClassVar

import psutil
import pytest

from helpers import ROOT
from helpers.commands import python_path
from optimize.host import cpu, files, process, resources


class Registry:
    """Windows' registry, as the module winreg shows it, with two values."""

    HKEY_LOCAL_MACHINE = "HKLM"
    VALUES: ClassVar = {
        (cpu.PROCESSOR, "ProcessorNameString"): "12th Gen Intel(R) Core(TM) i5-1235U  ",
        (cpu.FIRMWARE, "SystemProductName"): "Latitude 5430",
    }

    def __init__(self, key: str):
        self.key = key

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    @classmethod
    def OpenKey(cls, root: str, key: str) -> "Registry":
        assert root == "HKLM"
        return cls(key)

    @classmethod
    def QueryValueEx(cls, opened: "Registry", value: str) -> tuple[str, int]:
        if (opened.key, value) not in cls.VALUES:
            raise FileNotFoundError(2, "The system cannot find the file specified")
        return cls.VALUES[opened.key, value], 1


def test_windows_tells_processor_and_machine_in_its_registry(monkeypatch):
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setitem(sys.modules, "winreg", Registry)
    assert cpu.name() == "12th Gen Intel(R) Core(TM) i5-1235U" and cpu.board() == "Latitude 5430"
    monkeypatch.setattr(Registry, "VALUES", {})
    assert cpu.name() is None and cpu.board() is None


def test_macos_tells_them_by_sysctl(monkeypatch):
    known = {"machdep.cpu.brand_string": "Apple M2\n", "hw.model": "Mac14,2\n"}
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(subprocess, "run", lambda words, **_: SimpleNamespace(stdout=known.get(words[-1], "")))
    assert cpu.name() == "Apple M2" and cpu.board() == "Mac14,2"
    known.clear()
    assert cpu.name() is None and cpu.board() is None


def test_a_system_that_counts_no_load_has_none(monkeypatch):
    monkeypatch.delattr(os, "getloadavg", raising=False)
    assert resources.load_average() is None


def test_cores_are_those_of_this_process_where_the_system_binds_it_to_some(monkeypatch):
    monkeypatch.setattr(psutil.Process, "cpu_affinity", lambda _: [3, 5, 7], raising=False)
    assert resources.cores() == 3
    monkeypatch.delattr(psutil.Process, "cpu_affinity")
    assert resources.cores() == psutil.cpu_count()


CHILD = "from optimize.host.process import end_with; import sys, time; end_with(int(sys.argv[1])); time.sleep(60)"


def child_of(parent: int) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-c", CHILD, str(parent)], cwd=ROOT, env=os.environ | {"PYTHONPATH": python_path(ROOT)}
    )


@pytest.mark.command
def test_a_process_ends_with_its_parent_also_where_nobody_has_noted_that_end():
    parent = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    child = child_of(parent.pid)
    time.sleep(1.5)
    assert child.poll() is None
    parent.kill()  # and not waited for: on Unix a zombie keeps its number
    assert child.wait(10) == 1
    parent.wait()


@pytest.mark.command
def test_a_process_whose_parent_had_ended_before_it_looked_ends():
    parent = subprocess.Popen([sys.executable, "-c", ""])
    parent.wait()
    assert child_of(parent.pid).wait(10) == 1


def test_a_number_that_was_given_again_is_another_process(monkeypatch):
    old = psutil.Process()
    assert process._runs(old)
    monkeypatch.setattr(old, "_ident", (old.pid, old.create_time() - 100))
    assert not process._runs(old)


def test_a_file_that_a_reader_keeps_for_a_moment_is_replaced_and_one_kept_for_ever_is_an_error(tmp_path, monkeypatch):
    target, tries, real = tmp_path / "job.json", [], os.replace

    def refused(source, to, times: int):
        tries.append(to)
        if len(tries) <= times:
            raise PermissionError(13, "The process cannot access the file")
        real(source, to)

    monkeypatch.setattr(files, "PAUSE", 0)
    monkeypatch.setattr(os, "name", "nt")
    monkeypatch.setattr(os, "replace", lambda source, to: refused(source, to, 5))
    files.write_text(target, "→ ü")
    assert target.read_bytes() == "→ ü".encode() and len(tries) == 6 and list(tmp_path.iterdir()) == [target]
    tries.clear()
    monkeypatch.setattr(os, "replace", lambda source, to: refused(source, to, 10**6))
    with pytest.raises(PermissionError):
        files.write_text(target, "new")
    assert target.read_bytes() == "→ ü".encode() and len(tries) == files.TRIES


def test_a_command_is_quoted_for_the_shell_of_the_system(monkeypatch):
    words = ["python", "-m", "optimize", "model=C:\\my models\\best (1).pt", "prune=0.3"]
    assert process.quoted(words) == "python -m optimize 'model=C:\\my models\\best (1).pt' prune=0.3"
    monkeypatch.setattr(os, "name", "nt")
    assert process.quoted(words) == 'python -m optimize "model=C:\\my models\\best (1).pt" prune=0.3'
