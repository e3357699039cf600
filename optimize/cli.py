"""The command line: Hydra composes one configuration, `run.py` does the rest."""

import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import set_start_method
from pathlib import Path
from typing import TYPE_CHECKING

import hydra
from hydra.conf import HydraConf
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from optimize.begin import begun
from optimize.conf_folder import CONF
from optimize.config import plain
from optimize.errors import LauncherFailed, OptimizeError, described, during
from optimize.host.own_path import leave_current_folder
from optimize.host.process import end_with
from optimize.literal import hydra_words
from optimize.output import check_words
from optimize.sentences import errors_from_hydra, one_sentence, sentence
from optimize.store import manifest
from optimize.sweep.alive import alone_in, settle, wait
from optimize.sweep.attempt import attempt
from optimize.sweep.callback import watches
from optimize.sweep.sweep import home, jobs, withdraw
from optimize.sweep.watch import Watch

if TYPE_CHECKING:
    from optimize.run import Begun

# Files of conf/hydra/launcher are named as the plugins' own, which Hydra checks them against with a warning.
warnings.filterwarnings("ignore", r"(?s).*is validated against ConfigStore schema", UserWarning)


def main() -> None:
    """The console script."""
    leave_current_folder()
    with errors_from_hydra(), one_sentence(), _ending_sweeps():
        check_words(sys.argv[1:])
        sys.argv[1:] = hydra_words(sys.argv[1:], CONF)
        job()


@hydra.main(version_base="1.3", config_path=str(CONF), config_name="config")
def job(config: DictConfig) -> tuple[float, float | None] | float | None:
    """Do one checked run, write its report and print its folder last; or do one job of a sweep.

    Returns the objective, for a custom sweeper. For a run: accuracy and milliseconds of the optimized variant that the
    verdict chooses, None where none was made. For a job of a sweep, which is timed after all jobs have ended: the best
    accuracy among the variants it asked for, None where the job failed.
    """
    settings = HydraConfig.get()
    folder = Path(settings.runtime.output_dir)
    if settings.mode is RunMode.MULTIRUN:
        return _attempt(config, settings, folder)
    from optimize.run import holding

    run = begun.pop()
    with holding(run), one_sentence():
        return _carry_out(run)


def _attempt(config: DictConfig, settings: HydraConf, folder: Path) -> float | None:
    if not watches:  # in a worker process of the launcher
        set_start_method(None, force=True)  # processes that start from here do not know joblib's start method
        end_with(os.getppid())
    os.chdir(home(Path(settings.sweep.dir)))
    logs = plain(settings.job_logging, resolve=True)
    chooses = not settings.sweeper._target_.endswith(".BasicSweeper")  # Hydra's own runs what it was given
    with alone_in(folder):
        manifest.begin(folder, manifest.RUN)
        return attempt(config, settings.job.num, plain(settings.overrides.task), logs, folder, chooses).score


@contextmanager
def _ending_sweeps() -> Iterator[None]:
    """If the block began a sweep, time its variants and write its summary, also if its launcher failed."""
    lost = None
    try:
        yield
    except Exception as error:
        if not watches:
            raise
        lost = error
    except KeyboardInterrupt:
        if watches:
            _stop(watches.pop())
        raise
    if watches:
        _end(watches.pop(), lost)


def _stop(watch: Watch) -> None:
    if ray := sys.modules.get("ray"):
        ray.shutdown()  # otherwise its workers go on until this process has ended
    settle(watch.sweep.folder)
    watch.stop()
    watch.lock.release()


def _end(watch: Watch, lost: Exception | None) -> None:
    folder = watch.sweep.folder
    try:
        if lost and not watch.seen():
            watch.stop()
            if not jobs(folder):
                watch.lock.release()  # Windows deletes no file that is open
                withdraw(folder, watch.new)
            raise LauncherFailed(_why(lost)) from lost
        if lost:
            wait(folder, watch.sweep.total)
        watch.stop()
        from optimize.sweep.end import end  # imported here, since torch and ultralytics take seconds

        with during("timing the variants of the sweep and writing its summary"):
            end(folder, watch.target, _why(lost) if lost else None)
    finally:
        watch.lock.release()


def _why(error: Exception) -> str:
    return (
        sentence(error) or f"the launcher failed with {described(error).rstrip('.')}; HYDRA_FULL_ERROR=1 shows where."
    )


def _carry_out(begun: "Begun") -> tuple[float, float | None] | None:
    # Imported here, since torch and ultralytics take seconds that --help and a wrong key should not wait for.
    from optimize import run
    from optimize.report import table

    try:
        finished = run.carry_out(begun)
    except OptimizeError:
        print(f"the log is {begun.folder / run.LOG}; finished work is kept in the store", file=sys.stderr)
        raise
    table.show(finished.report)
    print(finished.folder)
    finished.check()
    return finished.objective
