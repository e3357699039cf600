"""What a stranger's file may make endless, or fatal to a process, is tried in a process of its own first."""

import subprocess
import sys
from time import monotonic, sleep

import psutil

PAUSE = 0.02  # seconds between two looks


def why_not(code: str, argument: str, seconds: float, memory: int) -> str | None:
    """Run the Python `code` with `argument` as sys.argv[1], and say why it should not be done here; None: it went well.

    What the code itself complains of by an exception is no reason: it will do so here too.

    Args:
        code: which imports only what is installed.
        argument: its only one.
        seconds: the most that it may take.
        memory: the most that it may have, in bytes.
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
