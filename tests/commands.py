"""Run the command line inside the test's own process, or in one that can be killed."""

import os
import subprocess
import sys
import time
from pathlib import Path

from optimize.cli import main

FULL_ERROR = "0"  # 1 shows tracebacks
WAIT = 240  # seconds; a machine that others use as well is slow, and nothing may hang


def command(monkeypatch, capsys, *words: str) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of `python -m optimize WORDS` in the current folder."""
    monkeypatch.setattr(sys, "argv", ["optimize", *words])
    monkeypatch.setenv("HYDRA_FULL_ERROR", FULL_ERROR)
    try:
        main()
        code = 0
    except SystemExit as stop:
        code = stop.code
    out = capsys.readouterr()
    return code, out.out, out.err


def start(folder: Path, *words: str) -> subprocess.Popen:
    """`python -m optimize WORDS` in `folder`, in a group of its own, so that it can be sent what a terminal sends."""
    return subprocess.Popen(
        [sys.executable, "-m", "optimize", *words],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parent.parent), "RAY_AUTH_MODE": "disabled"},
    )


def until(happened, what: str):
    """What `happened` gives as soon as that is something."""
    ends = time.monotonic() + WAIT
    while time.monotonic() < ends:
        if found := happened():
            return found
        time.sleep(0.2)
    raise AssertionError(f"{what} did not happen in {WAIT} s")
