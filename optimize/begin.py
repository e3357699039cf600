"""Checks the whole configuration and claims the run's folder before Hydra writes anything."""

import sys
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock
from hydra.core.hydra_config import HydraConfig
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, open_dict, read_write

from optimize.errors import InputError
from optimize.host import quiet
from optimize.literal import typed
from optimize.output import check_names, claim, start
from optimize.sentences import one_sentence
from optimize.store import manifest
from optimize.store.contents import begin_store
from optimize.store.held import collecting
from optimize.store.manifest import RUN
from optimize.sweep.alive import lock_of

if TYPE_CHECKING:  # they import torch, which takes seconds that --help should not wait for
    from optimize.plan import Plan
    from optimize.settings import Settings


@dataclass(frozen=True)
class Run:
    """A run whose input was checked and whose folder was claimed.

    Attributes:
        settings, plan: of the run.
        used: names of the store's entries that the checks used.
        target: the requested folder; a run that replaces another one is made beside it and moved there at the end.
        lock: of the folder that the run writes into, held until the run ends.
    """

    settings: "Settings"
    plan: "Plan"
    used: list[str]
    target: Path
    lock: FileLock


begun: list[Run] = []  # of this process; Hydra passes nothing from its callbacks to the job


class Begin(Callback):
    """Hydra's callback that rejects a wrong configuration before the run's folder is touched."""

    def on_run_start(self, config: DictConfig, **_: object) -> None:
        """Called before Hydra makes the folder. Hydra only warns of exceptions from here, so the process exits here."""
        with one_sentence():
            sys.argv[1:] = map(typed, sys.argv[1:])  # Hydra has parsed it; from now on it is shown to people
            HydraConfig.instance().set_config(config)  # as Hydra does next; the folder's name may refer to it
            check_names(config)
            quiet.check()
            target = Path(config.hydra.run.dir)
            folder = claim(target, RUN, config.overwrite)
            with collecting() as used:
                settings, plan = _check(config, target)
            if settings.plan:
                _show(plan, settings.trust)
                sys.exit(0)
            lock = _acquire_lock(folder, target, config.overwrite)
            start(folder)
            _begin_store(settings.store)
            with read_write(config.hydra):
                config.hydra.run.dir = str(folder)
            begun.append(Run(settings, plan, used, target.resolve(), lock))


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


def _check(config: DictConfig, target: Path) -> tuple["Settings", "Plan"]:
    from optimize import tracking
    from optimize.dataset import check_apart
    from optimize.prepare import prepare, settings_of
    from optimize.yolo.checkpoint import trusted

    task = deepcopy(config)
    with read_write(task), open_dict(task):
        del task["hydra"]
    settings = settings_of(task)
    tracking.check(settings.tracking)
    with trusted(settings.trust):
        plan = prepare(task)
    check_apart(f"hydra.run.dir={target}", target, plan.data)
    if target.resolve() == plan.store.resolve():
        raise InputError(f"hydra.run.dir={target} is the store as well; give another folder.")
    return settings, plan


def _show(plan: "Plan", trust: bool) -> None:
    from optimize.forecast import show
    from optimize.terminal import terminal
    from optimize.yolo.checkpoint import trusted

    with trusted(trust):
        show(plan, terminal())


def _begin_store(store: Path) -> None:
    from optimize.yolo.label_cache import keep_in

    begin_store(store)
    keep_in(store)
