"""The command line: one Hydra config -> one Plan -> results -> report."""

import os
import re
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import hydra
from filelock import FileLock, Timeout
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from optimize.config import CONF
from optimize.errors import NO_ROOM, InputError, LimitMissed, OptimizeError, VariantFailed
from optimize.store.held import noting

HELP = "`python -m optimize --help`"


def main() -> None:
    """The console script."""
    tracebacks = os.environ.get("HYDRA_FULL_ERROR") == "1"  # Hydra's own switch, kept for whoever wants to see them
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra then lets errors through to us instead of printing its own text
    with nullcontext() if tracebacks else one_sentence():
        job()


@hydra.main(version_base="1.3", config_path=str(CONF), config_name="config")
def job(config: DictConfig) -> None:
    """One run: check everything, do the work, write the report, and print its folder last."""
    settings = HydraConfig.get()
    # In a sweep Hydra must see the error, to go on with the other jobs and to say which one it was.
    folder = Path(settings.runtime.output_dir)
    with nullcontext() if settings.mode is RunMode.MULTIRUN else one_sentence(), _alone_in(folder), noting(folder):
        _run(config, folder)


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Two runs in one folder would mix their files, and the one that fails would clear both away."""
    try:
        with FileLock(folder / ".hydra" / "lock", timeout=0):
            yield
    except Timeout as error:
        raise InputError(f"another run is writing into {folder}; give another folder, e.g. hydra.run.dir=b.") from error


def _run(config: DictConfig, folder: Path) -> None:
    # Imported here, since torch and ultralytics take seconds that --help and a wrong key need not wait for.
    from optimize.bundle import make as bundle
    from optimize.pipeline import run
    from optimize.prepare import prepare, settings_of
    from optimize.report import verdict, write
    from optimize.yolo.checkpoint import trusted

    try:
        settings = settings_of(config)
        with trusted(settings.trust):
            plan = prepare(config)
            report = run(plan, folder)
    except OptimizeError:
        shutil.rmtree(folder)  # there is nothing to report; whatever was finished lies in the store
        raise
    write(report, folder)
    print(folder)
    if settings.bundle:
        bundle.make(report, folder)
    if report.failures:
        raise VariantFailed(" ".join(f"{f.name} on {f.runtime} failed: {f.sentence}" for f in report.failures))
    if missed := [*report.missed, *([] if verdict.decide(report).best else [verdict.headline(report)])]:
        raise LimitMissed(" ".join(missed))


@contextmanager
def one_sentence() -> Iterator[None]:
    """Whatever the user can mend becomes one sentence on stderr; exit code 1, or 3 for a limit that was missed."""
    try:
        yield
    except (OptimizeError, HydraException, OmegaConfBaseException, OSError, ValueError) as error:
        sentence = _sentence(error)
        if sentence is None:
            raise
        print(f"error: {sentence}", file=sys.stderr)
        raise SystemExit(getattr(error, "exit_code", 1)) from error
    except KeyboardInterrupt:
        print("stopped: what was finished is kept, and the same command goes on from there.", file=sys.stderr)
        raise SystemExit(130) from None


def _sentence(error: Exception) -> str | None:
    """What to tell the user, or None where the error is ours and its traceback is needed."""
    if isinstance(error, OptimizeError):
        return str(error)
    if isinstance(error, OSError) and not isinstance(error, HydraException):
        where = f" ({error.filename})" if error.filename else ""
        known = "permission was denied" if isinstance(error, PermissionError) else NO_ROOM.get(error.errno)
        return known and f"{known}{where}; make room or run in another folder: what was finished is kept."
    text = str(error)
    if text.startswith("Config group override must be"):
        return f"a group takes one of its choices, and `none` turns it off, e.g. quant=none; {HELP} lists them."
    if not isinstance(error, HydraException | OmegaConfBaseException):
        return None
    if key := re.search(r"Could not override '([^']+)'", text):
        return f"{key[1]} is not a key; {HELP} lists all keys."
    if choice := re.search(r"Could not (?:find|load) '(.+)/(.+)'", text):
        allowed = sorted(file.stem for file in (CONF / choice[1]).glob("*.yaml"))
        return f"{choice[1]}={choice[2]} is not allowed; give one of {', '.join(allowed)}."
    return f"{' '.join(text.split())}; {HELP} shows what is allowed."
