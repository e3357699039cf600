"""Turns every error that ends a command into one sentence."""

import logging
import os
import re
import sys
import traceback
from collections.abc import Iterator
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from unittest.mock import patch

from hydra.errors import HydraException, OverrideParseException
from omegaconf.errors import OmegaConfBaseException

from optimize.conf_folder import CONF
from optimize.errors import NO_ROOM, REPORT, WHILE, OptimizeError, described
from optimize.host.console import print_any_letter
from optimize.keys import nearest
from optimize.texts import shown

HELP = "`python -m optimize --help`"
CHOICES = (
    f"give a group one of its choices; quant=none, recover=[], runtime=[] and prune=0 turn one off; {HELP} lists them."
)
HYDRA, WANTED = (
    "HYDRA_FULL_ERROR",
    "OPTIMIZE_FULL_ERROR",
)  # the user's setting, and where it is kept while ours is active
MEMORY = re.compile(r"out of memory|(can't|cannot|failed to) allocate|not enough memory|bad_alloc", re.IGNORECASE)
LESS_MEMORY = "close other programs, or give a smaller batch= or imgsz=; finished work is kept"


@contextmanager
def errors_from_hydra() -> Iterator[None]:
    """Make Hydra raise errors instead of printing its own text; `one_sentence` restores the user's setting."""
    before = os.environ.get(HYDRA)
    os.environ[WANTED], os.environ[HYDRA] = before or "", "1"
    try:
        yield
    finally:
        del os.environ[WANTED], os.environ[HYDRA]
        if before is not None:
            os.environ[HYDRA] = before


@contextmanager
def one_sentence() -> Iterator[None]:
    """Print an error that ends the block as one sentence on stderr, and write its traceback to the run's log.

    Exit code 1, 3 for a limit that was missed, 130 on Ctrl-C. With HYDRA_FULL_ERROR=1 the traceback is shown as well.
    """
    print_any_letter()
    try:
        yield
    except (Exception, KeyboardInterrupt) as error:
        line = shown(_last_line(error))
        _log(line, error)
        if os.environ.get(WANTED, os.environ.get(HYDRA)) == "1":
            traceback.print_exception(error)
        print(line, file=sys.stderr)
        raise SystemExit(130 if isinstance(error, KeyboardInterrupt) else getattr(error, "exit_code", 1)) from error


def _last_line(error: BaseException) -> str:
    """The last line that a command prints when `error` ends it."""
    where = _where(error)
    if isinstance(error, KeyboardInterrupt):
        ended = f"; it ended{where}" if where else ""
        return f"stopped: finished work is kept, and the same command resumes from there{ended}."
    explained = sentence(error)
    if explained:
        return f"error: {explained}"
    if isinstance(error, BrokenPipeError):
        return f"error: a pipe broke{where}, since the reader of the output or another process has ended."
    if isinstance(error, BrokenProcessPool):
        return f"error: a process was killed{where}, most likely because the memory ran out; {LESS_MEMORY}."
    if isinstance(error, MemoryError) or MEMORY.search(str(error)):
        return f"error: the memory ran out{where} ({described(error)}); {LESS_MEMORY}."
    what = "the log" if _logs() else "this line"
    return (
        f"error: {described(error).rstrip('.')}{where}; this is a fault of this program or of a library, so please "
        f"report {what} to us; HYDRA_FULL_ERROR=1 shows where."
    )


def _where(error: BaseException) -> str:
    """What was being done and where to read more, e.g. ` while timing (the log is runs/a/optimize.log)`."""
    notes = getattr(error, "__notes__", [])
    doing = next((f" {note}" for note in notes if note.startswith(WHILE)), "")
    more = [f"the log is {handler.baseFilename}" for handler in _logs()] + [n for n in notes if n.startswith(REPORT)]
    return f"{doing} ({', '.join(more)})" if more else doing


def _logs() -> list[logging.FileHandler]:
    return [handler for handler in logging.getLogger().handlers if isinstance(handler, logging.FileHandler)]


def _log(line: str, error: BaseException) -> None:
    """Write `line` to the log files only, with a traceback unless the error is a mistake of the user."""
    mistake = isinstance(error, OptimizeError | HydraException | OmegaConfBaseException | KeyboardInterrupt)
    trace = None if mistake else (type(error), error, error.__traceback__)
    with patch.object(logging, "raiseExceptions", False):  # a full disk is reported once
        for handler in _logs():
            handler.handle(logging.LogRecord(__name__, logging.ERROR, __file__, 0, line, None, trace))


def sentence(error: BaseException) -> str | None:
    """The sentence for a mistake of the user or a full disk; None for every other error."""
    if isinstance(error, OptimizeError):
        return str(error)
    if isinstance(error, OSError) and not isinstance(error, HydraException):
        return _disk_sentence(error)
    text = str(error)
    if text.startswith("Config group override must be"):
        return CHOICES
    if plugin := re.search(r"(?:Unknown plugin class|Could not find) .*\b(joblib|ray|submitit)(?:_|')", text):
        extra = plugin[1].replace("submitit", "slurm")
        return f"hydra/launcher={extra} is not installed; run `pip install '.[{extra}]'`."
    return _config_sentence(error) if isinstance(error, HydraException | OmegaConfBaseException) else None


def _disk_sentence(error: OSError) -> str | None:
    file = f" ({error.filename})" if error.filename else ""
    if isinstance(error, PermissionError):
        problem = "permission was denied"
    elif error.errno in NO_ROOM:
        problem = NO_ROOM[error.errno]
    else:
        return None
    return f"{problem}{file}{_where(error)}; free some space or run in another folder: finished work is kept."


def unknown_key(name: str) -> str:
    """The sentence on a key that does not exist."""
    like = nearest(name)
    return f"{name} is not a key{f', the nearest is {like}' if like else ''}; {HELP} lists all keys."


def _config_sentence(error: HydraException | OmegaConfBaseException) -> str:
    """What Hydra or OmegaConf could not read, and what to give instead."""
    if isinstance(error, OverrideParseException):
        return (
            f"{error.override} can't be parsed; give key=value, a list as [a,b], and any other value with special "
            f"""characters or spaces in two kinds of quotes, e.g. "key='a (b)'"."""
        )
    text = str(error)
    if several := re.match(r"Ambiguous value for argument '(.*)'\n", text):
        return f"{several[1]} holds several values; add -m to run each of them, or give one."
    if folder := re.search(r"full_key: hydra\.(run|sweep|job_logging)\b", text):
        key = "hydra.sweep.dir" if folder[1] == "sweep" else "hydra.run.dir"
        reason = text.splitlines()[0]
        return f"{key} can't be read ({reason}): ${{...}} stands for a value there; give a folder without it."
    if unknown := re.search(r"Could not override '([^']+)'", text):
        return unknown_key(unknown[1])
    if choice := re.search(r"Could not (?:find|load) '(.+)/(.+)'", text):
        allowed = sorted(file.stem for file in (CONF / choice[1]).glob("*.yaml"))
        return f"{choice[1]}={choice[2]} is not allowed; give one of {', '.join(allowed)}."
    return f"{' '.join(text.split())}; {HELP} shows what is allowed."
