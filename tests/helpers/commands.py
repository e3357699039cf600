"""Run the command line inside the test's own process, or in one that can be killed."""

import logging
import os
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil

from helpers import ROOT
from optimize.cli import main
from optimize.report import results
from optimize.result import Report

FULL_ERROR = "0"  # 1 shows tracebacks
WAIT = 240  # seconds; a machine that others use as well is slow, and nothing may hang


def command(monkeypatch, capsys, *words: str, charts: bool = False) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of `python -m optimize WORDS` in the current folder.

    Without `charts` report.html has none and report.png is an empty file: to draw them takes two seconds, and most
    tests never look at them.
    """
    if not charts:
        monkeypatch.setattr("optimize.report.page._charts", lambda report: {})
        monkeypatch.setattr("optimize.report.chart_image.write", lambda report, path: path.touch())
    monkeypatch.setattr(results, "write", write_and_read)
    monkeypatch.setattr(sys, "argv", ["optimize", *words])
    monkeypatch.setenv("HYDRA_FULL_ERROR", FULL_ERROR)
    try:
        main()
        code = 0
    except SystemExit as stop:
        code = stop.code
    out = capsys.readouterr()
    return code, out.out, out.err


def write_and_read(report: Report, path: Path, write: Callable[[Report, Path], None] = results.write) -> None:
    """Every results.json of a command is read again as it was."""
    write(report, path)
    assert results.read(path) == report


def start(folder: Path, *words: str, quick: bool = False) -> subprocess.Popen:
    """`python -m optimize WORDS` in `folder`, in a session of its own, so that no terminal sends it anything.

    A `quick` one takes no time for its timings, see helpers/quick.py.
    """
    return subprocess.Popen(
        [sys.executable, "-m", "helpers.quick" if quick else "optimize", *words],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env=os.environ | {"PYTHONPATH": python_path(ROOT, ROOT / "tests"), "RAY_AUTH_MODE": "disabled"},
    )


def python_path(*folders: Path) -> str:
    """`folders` before those that PYTHONPATH has, e.g. tests/standins."""
    return os.pathsep.join([*map(str, folders), *filter(None, [os.environ.get("PYTHONPATH")])])


def send(signal: int, run: subprocess.Popen) -> None:
    """To `run` and all that it has started, as a terminal does; on Windows they end by it."""
    started = psutil.Process(run.pid)
    for process in [started, *started.children(recursive=True)]:
        with suppress(psutil.NoSuchProcess):
            process.send_signal(signal)


def kill(run: subprocess.Popen) -> None:
    """`run` and all that it has started, at once."""
    started = psutil.Process(run.pid)
    for process in [started, *started.children(recursive=True)]:
        with suppress(psutil.NoSuchProcess):
            process.kill()


def wait_unread(run: subprocess.Popen) -> None:
    """Wait for `run`, which was killed, and close its output without reading it: others may hold that open."""
    run.wait()
    run.stdout.close()
    run.stderr.close()


def until(happened, what: str):
    """What `happened` gives as soon as that is something."""
    ends = time.monotonic() + WAIT
    while time.monotonic() < ends:
        if found := happened():
            return found
        time.sleep(0.2)
    raise AssertionError(f"{what} did not happen in {WAIT} s")


def close_logs() -> None:
    """End what Hydra logs of a run in this process: its file stays open, and its stream is of a test that has ended."""
    for handler in list(logging.getLogger().handlers):
        if type(handler) in (logging.FileHandler, logging.StreamHandler):
            logging.getLogger().removeHandler(handler)
            handler.close()
