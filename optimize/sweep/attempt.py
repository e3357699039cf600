"""Runs one job of a sweep in its own process; a failure is recorded in the job's folder, and the sweep goes on."""

import logging.config
import os
import sys
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from io import TextIOWrapper
from pathlib import Path
from platform import node
from time import time
from typing import Any

from omegaconf import DictConfig

from optimize.errors import described
from optimize.host.process import run_in_new_process
from optimize.literal import typed
from optimize.output import NAMES
from optimize.sentences import sentence
from optimize.store.manifest import RUN, remove
from optimize.sweep import job
from optimize.sweep.job import RESULTS, Job

log = logging.getLogger(__name__)

OUTPUT = "output.txt"  # what libraries print
KILLED = "its process was killed, most likely because the memory ran out; run fewer jobs at once."


def attempt(
    config: DictConfig, number: int, overrides: list[str], logs: dict[str, Any], folder: Path, chooses: bool = False
) -> Job:
    """Build the variants that `config` describes, and write the outcome into `folder`.

    A separate process frees its memory, and can be killed without ending other jobs.

    Args:
        config: of the job.
        number: of the job.
        overrides: what was set for it, in Hydra's grammar.
        logs: settings of its log.
        folder: of the job, which gets job.json, results.json, the log and output.txt.
        chooses: whether the sweep chooses later jobs by the score of this one.
    """
    words = [typed(override) for override in overrides]
    running = Job(number, tuple(words), job.RUNNING, node(), time())
    job.write(running, folder)
    remove(folder, NAMES[RUN])  # only now, since whoever reads `built` expects results.json
    try:
        failed, score = run_in_new_process(_build, config, words, logs, folder, chooses)
    except BrokenProcessPool:
        failed, score = KILLED, None
    ended = replace(running, state=job.FAILED if failed else job.BUILT, ended=time(), sentence=failed, score=score)
    job.write(ended, folder)
    return ended


def _build(
    config: DictConfig, words: list[str], logs: dict[str, Any], folder: Path, chooses: bool
) -> tuple[str | None, float | None]:
    """The reason of a failure, None if results.json was written; and the score."""
    _print_to(folder / OUTPUT)
    logging.config.dictConfig(logs)
    # Imported here, since whoever starts the process need not wait for torch.
    from optimize.dataset import check_apart
    from optimize.forecast import remember, show
    from optimize.pipeline import build
    from optimize.prepare import prepare, settings_of
    from optimize.progress import CONSOLE
    from optimize.report import results
    from optimize.store.contents import begin_store
    from optimize.store.held import noting
    from optimize.store.manifest import placing
    from optimize.sweep.search.objective import asked, scored
    from optimize.yolo.cache_folder import keep_in
    from optimize.yolo.checkpoint import trusted

    try:
        with trusted(settings_of(config).trust), noting(folder):
            plan = prepare(config, words)
            check_apart(f"hydra.sweep.dir={folder.parent}", folder, plan.data)
            begin_store(plan.store)
            keep_in(plan.store)
            show(plan, CONSOLE)
            report = build(plan)
            if chooses:
                report = scored(report, plan.judge)
            with placing(folder) as partial:
                results.write(report, partial / RESULTS)
            remember(plan, folder)
            return None, max((row.choice_accuracy.score for row in asked(report)), default=None)
    except Exception as error:  # it becomes a row of the summary
        known = sentence(error)
        log.error("%s", known or described(error), exc_info=known is None)
        return known or f"{described(error)} (see optimize.log in its folder)", None


def _print_to(path: Path) -> None:
    with path.open("a", encoding="utf-8") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    for stream in (sys.stdout, sys.stderr):  # of the console's code page until now
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="replace")
