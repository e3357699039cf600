"""What `optimize.optimize` does when it is called; apart from its signature, since torch and Hydra take seconds."""

import logging
import os
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.logging import RichHandler

from optimize import run
from optimize.compose import composed, words
from optimize.errors import InputError, described
from optimize.host.process import without_main
from optimize.host.resources import cores
from optimize.literal import typed
from optimize.progress import CONSOLE
from optimize.run import LOG, Run
from optimize.sentences import unknown_key
from optimize.store.held import collecting
from optimize.terminal import Lines
from optimize.yolo.loaded import keep

log = logging.getLogger(__name__)

SLOW = (
    "OMP_NUM_THREADS=1, as ultralytics sets it where it is imported first, so training takes one thread; import "
    "optimize before ultralytics, or set OMP_NUM_THREADS."
)


def call(model: Any, keys: Mapping[str, Any], allowed: Collection[str]) -> Run:
    """One run, from what `optimize.optimize` was given; that explains the arguments and the errors.

    Args:
        model: a path, a name, or a loaded `ultralytics.YOLO`.
        keys: of the command line; with a dot, one below an allowed key.
        allowed: names of all keys.
    """
    if unknown := [key for key in keys if key.partition(".")[0] not in allowed]:
        raise InputError(unknown_key(unknown[0]))
    if os.environ.get("OMP_NUM_THREADS") == "1" and cores() > 1:
        log.warning(SLOW)
    with without_main():
        with collecting() as used:
            name = os.fspath(model) if isinstance(model, str | os.PathLike) else str(keep(model, _store(keys)))
        given = words({"model": name, **keys})
        config = composed(given)
        if config.plan:
            raise InputError("plan=True prints and makes nothing, so it is for the command line; leave it out.")
        checked = run.check(config, [typed(word) for word in given])
        begun = run.begin(replace(checked, used=[*used, *checked.used]), config.overwrite)
        with run.holding(begun), _logging(begun.folder / LOG):
            return run.carry_out(begun)


def _store(keys: Mapping[str, Any]) -> Path:
    return Path(keys.get("store") or composed(()).store)


@contextmanager
def _logging(file: Path) -> Iterator[None]:
    """Log into `file`, and to stderr where the program logs nowhere; afterwards logging is as it was."""
    everywhere, ours = logging.getLogger(), logging.getLogger("optimize")
    before, level = list(everywhere.handlers), ours.level
    written = logging.FileHandler(file, encoding="utf-8")
    written.setFormatter(Lines("[%(asctime)s] %(message)s"))
    shown = RichHandler(console=CONSOLE, show_level=False, show_path=False, log_time_format="[%X]")
    shown.setFormatter(Lines("%(message)s"))
    everywhere.handlers += [written] if before else [written, shown]
    ours.setLevel(logging.INFO)
    try:
        yield
    except BaseException as error:
        if written in everywhere.handlers:  # else the run has closed its log, whose hash is listed
            trace = type(error), error, error.__traceback__
            written.handle(logging.LogRecord(__name__, logging.ERROR, __file__, 0, described(error), None, trace))
        raise
    finally:
        everywhere.handlers[:] = before
        ours.setLevel(level)
        written.close()
