"""The command line: one Hydra config -> one Plan -> results -> report."""

import logging
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import set_start_method
from pathlib import Path

import hydra
from hydra.conf import HydraConf
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from optimize.begin import Run, begun
from optimize.config import CONF, plain
from optimize.errors import LauncherFailed, LimitMissed, OptimizeError, VariantFailed, described, during
from optimize.host.own_path import leave_current_folder
from optimize.host.process import end_with
from optimize.literal import hydra_words
from optimize.output import check_words, publish
from optimize.sentences import errors_from_hydra, one_sentence, sentence
from optimize.store import manifest
from optimize.store.held import noting
from optimize.sweep.alive import alone_in, settle, wait
from optimize.sweep.attempt import attempt
from optimize.sweep.callback import watches
from optimize.sweep.sweep import home, jobs, withdraw
from optimize.sweep.watch import Watch

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
    run = begun.pop()
    try:
        with one_sentence(), noting(folder, run.used):
            return _run(run, folder)
    finally:
        run.lock.release()
        entry = manifest.read(folder)
        if entry and not entry.finished:
            manifest.rest(folder)


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


def _run(run: Run, folder: Path) -> tuple[float, float | None] | None:
    # Imported here, since torch and ultralytics take seconds that --help and a wrong key should not wait for.
    from optimize import pipeline, tracking
    from optimize.bundle import make as bundle
    from optimize.forecast import remember, show
    from optimize.progress import CONSOLE
    from optimize.report import moved, write
    from optimize.report.unfinished import keeping
    from optimize.verdict import verdict
    from optimize.yolo.checkpoint import trusted

    try:
        with trusted(run.settings.trust), keeping(folder) as keep:
            show(run.plan, CONSOLE)
            measured = pipeline.run(run.plan, folder, keep)
    except OptimizeError:
        print(f"the log is {folder / 'optimize.log'}; finished work is kept in the store", file=sys.stderr)
        raise
    report = moved(measured, folder, run.target)
    with during("writing the report"):
        write(report, folder)
    failed = [f"{f.name} on {f.runtime} failed: {f.sentence}" for f in report.failures]
    if run.settings.bundle:
        try:
            bundle.make(measured, run.plan.runtimes, folder, run.target.name, run.settings.bundle_input)
        except VariantFailed as error:
            failed.append(str(error))
    _close_log()
    manifest.finish(folder)
    publish(folder, run.target)
    with trusted(run.settings.trust):
        remember(run.plan, run.target)
    untracked = tracking.write_run(report, run.target) if run.settings.tracking == "mlflow" else None
    print(run.target)
    if failed := [*failed, *filter(None, [untracked])]:
        raise VariantFailed(" ".join(failed))
    if missed := [*report.missed, *([] if verdict.decide(report).best else [verdict.headline(report)])]:
        raise LimitMissed(" ".join(missed))
    best = verdict.chosen(report)
    if best is None:
        return None
    return (best.whole or best.accuracy).score, best.latency.median_ms if best.latency else None


def _close_log() -> None:
    """Close the log file before its hash is listed; Windows also can't rename an open file."""
    for handler in list(logging.getLogger().handlers):
        if isinstance(handler, logging.FileHandler):
            logging.getLogger().removeHandler(handler)
            handler.close()
