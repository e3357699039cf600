"""Run the command line inside the test's own process."""

import sys

from optimize.cli import main


def command(monkeypatch, capsys, *words: str) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of `python -m optimize WORDS` in the current folder."""
    monkeypatch.setattr(sys, "argv", ["optimize", *words])
    monkeypatch.setenv("HYDRA_FULL_ERROR", "0")  # set, so that what the command makes of it is undone after the test
    try:
        main()
        code = 0
    except SystemExit as stop:
        code = stop.code
    out = capsys.readouterr()
    return code, out.out, out.err
