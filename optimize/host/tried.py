"""Tries code on an untrusted file in a process of its own, since it may never end or crash the process."""

import subprocess
import sys
from time import monotonic, sleep

import psutil

PAUSE = 0.02  # seconds between two checks of the process


def try_in_process(code: str, argument: str, seconds: float, memory: int) -> str | None:
    """Run the Python `code` in a new process and return why this process should not run it; None where it may.

    An exception of the code is no reason: this process will see the same exception.

    Args:
        code: the program; it can import only installed packages.
        argument: sys.argv[1] of the program.
        seconds: the time limit.
        memory: the memory limit in bytes.
    """
    child = subprocess.Popen(
        [sys.executable, "-P", "-c", code, argument], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    deadline = monotonic() + seconds
    try:
        while child.poll() is None:
            if monotonic() > deadline:
                return f"it takes more than {seconds:g} s"
            if _memory(child.pid) > memory:
                return f"it takes more than {memory / 1e9:g} GB of memory"
            sleep(PAUSE)
    finally:
        child.kill()
        child.wait()
    return None if child.returncode in (0, 1) else f"it ends the process (exit code {child.returncode})"


def _memory(pid: int) -> int:
    try:
        return psutil.Process(pid).memory_info().rss
    except psutil.Error:  # it has just ended
        return 0
