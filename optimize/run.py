"""One run, from its checked input to its report: what `python -m optimize` and `optimize.optimize` both call."""

import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from html import escape
from pathlib import Path

from filelock import FileLock
from omegaconf import DictConfig, open_dict, read_write

from optimize import pipeline, tracking
from optimize.bundle import make as bundle
from optimize.dataset import check_apart
from optimize.errors import InputError, LimitMissed, VariantFailed, during
from optimize.forecast import remember, show
from optimize.host import quiet
from optimize.output import claim, publish, start
from optimize.plan import Plan
from optimize.prepare import prepare, settings_of
from optimize.progress import CONSOLE
from optimize.report import moved, put, table, words
from optimize.report.unfinished import keeping
from optimize.result import Report, Result
from optimize.settings import Settings
from optimize.store import manifest
from optimize.store.contents import begin_store
from optimize.store.held import collecting, noting
from optimize.store.manifest import RUN
from optimize.sweep.alive import lock_of
from optimize.verdict import verdict
from optimize.yolo.cache_folder import keep_in
from optimize.yolo.checkpoint import trusted

LOG = "optimize.log"  # in the run's folder


@dataclass(frozen=True)
class Checked:
    """A run whose input was checked; nothing is written yet.

    Attributes:
        settings, plan: of the run.
        used: names of the store's entries that the checks used.
        target: the requested folder.
        folder: the one to write into; a run that replaces another one is made beside it and moved there at the end.
    """

    settings: Settings
    plan: Plan
    used: list[str]
    target: Path
    folder: Path


@dataclass(frozen=True)
class Begun:
    """A run whose folder is claimed.

    Attributes:
        checked: its input.
        folder: the absolute path of the one that it writes into.
        lock: of that folder, held until the run ends.
    """

    checked: Checked
    folder: Path
    lock: FileLock


@dataclass(frozen=True)
class Run:
    """A finished run. Its report is complete also where limits are missed or variants failed: see `check`.

    Attributes:
        report: all that was measured, as in results.json.
        folder: where report and artefacts lie.
        failed: a sentence for each variant, bundle or tracking server that failed; empty where nothing did.
    """

    report: Report
    folder: Path
    failed: tuple[str, ...] = ()

    @property
    def results(self) -> tuple[Result, ...]:
        """The rows of the report, the original in torch first."""
        return self.report.results

    @property
    def best(self) -> Result | None:
        """The row to deploy, which may be a rival or the original; None where no row meets the limits."""
        return verdict.decide(self.report.concluded).best

    @property
    def sentence(self) -> str:
        """The verdict, which names the row to deploy with gains and reason, or says that no row meets the limits."""
        return verdict.headline(self.report)

    @property
    def missed(self) -> tuple[str, ...]:
        """A sentence for each limit that is missed, `quant.max_drop` by a file or `limits` by every row."""
        return (*self.report.missed, *(() if self.best else (self.sentence,)))

    @property
    def report_path(self) -> Path:
        """Of report.html; report.md, report.png and results.json lie beside it."""
        return self.folder / "report.html"

    @property
    def objective(self) -> tuple[float, float | None] | None:
        """Accuracy and milliseconds of the optimized variant that the verdict chooses; None where none was made."""
        row = verdict.chosen(self.report)
        if row is None:
            return None
        return (row.whole or row.accuracy).score, row.latency.median_ms if row.latency else None

    def table(self) -> str:
        """What the command prints: every alarm, the table and its notes, as text of at most 180 columns."""
        return table.text(self.report)

    def check(self) -> None:
        """Check that everything was made and that the limits are met, as the command's exit code says.

        Raises:
            VariantFailed: something failed.
            LimitMissed: a limit is missed.
        """
        if self.failed:
            raise VariantFailed(" ".join(self.failed))
        if self.missed:
            raise LimitMissed(" ".join(self.missed))

    def _repr_html_(self) -> str:
        """The verdict and the table, for a notebook."""
        head = _html_row("th", words.columns(self.report))
        rows = (_html_row("td", row) for row in words.marked(self.report))
        return f"<p>{escape(self.sentence)}</p><table><thead>{head}</thead><tbody>{''.join(rows)}</tbody></table>"


def _html_row(tag: str, cells: Sequence[str]) -> str:
    return f"<tr>{''.join(f'<{tag}>{escape(cell)}</{tag}>' for cell in cells)}</tr>"


def check(config: DictConfig, command: Sequence[str]) -> Checked:
    """Check everything that a run needs, before anything is written.

    Args:
        config: every key, with Hydra's.
        command: the words of a command line that repeats the run, for the report.

    Raises:
        OptimizeError: an input can't be used, or nothing may be written where the run would write.
    """
    quiet.check()
    target = Path(config.hydra.run.dir)
    folder = claim(target, RUN, config.overwrite)
    with collecting() as used:
        settings, plan = _check_input(config, target, command)
    return Checked(settings, plan, used, target, folder)


def _check_input(config: DictConfig, target: Path, command: Sequence[str]) -> tuple[Settings, Plan]:
    task = deepcopy(config)
    with read_write(task), open_dict(task):
        del task["hydra"]
    settings = settings_of(task)
    tracking.check(settings.tracking)
    with trusted(settings.trust):
        plan = prepare(task, command)
    check_apart(f"hydra.run.dir={target}", target, plan.data)
    if target.resolve() == plan.store.resolve():
        raise InputError(f"hydra.run.dir={target} is the store as well; give another folder.")
    return settings, plan


def begin(checked: Checked, overwrite: bool) -> Begun:
    """Claim the folder of a checked run, and mark its store.

    Args:
        checked: as `check` returned it.
        overwrite: whether a finished run in the requested folder may be replaced.

    Raises:
        InputError: the folder was changed since the check, or another process writes into it.
    """
    lock = _acquire_lock(checked.folder, checked.target, overwrite)
    start(checked.folder)
    begin_store(checked.settings.store)
    keep_in(checked.settings.store)
    return Begun(checked, Path(os.path.abspath(checked.folder)), lock)


def _acquire_lock(folder: Path, target: Path, overwrite: bool) -> FileLock:
    """Acquire the lock of `folder`, and check that no other run has ended there meanwhile."""
    if manifest.read(folder) is None:
        manifest.begin(folder, RUN)  # before the lock's file, so that the manifest proves it to be ours
    lock = lock_of(folder.absolute())
    try:
        if claim(target, RUN, overwrite) != folder:
            raise InputError(f"hydra.run.dir={target} was changed by another process; give the command again.")
    except InputError:
        lock.release()
        raise
    return lock


@contextmanager
def holding(begun: Begun) -> Iterator[None]:
    """Note in the run's folder what the block uses of the store; at the end release the folder, finished or not."""
    folder = begun.folder
    try:
        with noting(folder, begun.checked.used):
            yield
    finally:
        begun.lock.release()
        entry = manifest.read(folder)
        if entry and not entry.finished:
            manifest.rest(folder)


def carry_out(begun: Begun) -> Run:
    """Make and measure every variant, and write the report and what else was asked for; called within `holding`.

    Raises:
        OptimizeError: as `pipeline.run`; or the requested folder was changed meanwhile.
    """
    settings, plan, folder = begun.checked.settings, begun.checked.plan, begun.folder
    target = begun.checked.target.resolve()
    with trusted(settings.trust), keeping(folder) as keep:
        show(plan, CONSOLE)
        measured = pipeline.run(plan, folder, keep)
    report = moved(measured, folder, target)
    with during("writing the report"):
        put(report, folder)
    failed = [f"{f.name} on {f.runtime} failed: {f.sentence}" for f in report.failures]
    if settings.bundle:
        try:
            bundle.make(measured, plan.runtimes, folder, target.name, settings.bundle_input)
        except VariantFailed as error:
            failed.append(str(error))
    _close_log(folder)
    manifest.finish(folder)
    publish(folder, target)
    with trusted(settings.trust):
        remember(plan, target)
    untracked = tracking.write_run(report, target) if settings.tracking == "mlflow" else None
    return Run(report, target, (*failed, *filter(None, [untracked])))


def _close_log(folder: Path) -> None:
    """Close the log file before its hash is listed; Windows also can't rename an open file."""
    for handler in list(logging.getLogger().handlers):
        if isinstance(handler, logging.FileHandler) and Path(handler.baseFilename) == folder / LOG:
            logging.getLogger().removeHandler(handler)
            handler.close()
