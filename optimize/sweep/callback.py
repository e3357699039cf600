"""What Hydra calls before a sweep's first job, whatever sweeper and launcher it has."""

import sys
from importlib.util import find_spec
from math import prod
from pathlib import Path

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, Quote, QuotedString
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, read_write

from optimize.config import plain
from optimize.errors import InputError
from optimize.host import quiet
from optimize.host.process import quoted
from optimize.literal import typed
from optimize.output import check_names, claim
from optimize.sentences import one_sentence
from optimize.store.manifest import SWEEP
from optimize.sweep.alive import alone_with
from optimize.sweep.sweep import Sweep, begin, read_request
from optimize.sweep.watch import Watch

watches: list[Watch] = []  # of this process; Hydra gives its callbacks to nobody


class Begin(Callback):
    """Note in the sweep's folder what was asked for, and show from then on how far it is."""

    def on_multirun_start(self, config: DictConfig, **_: object) -> None:
        """Called in the process that launches the jobs; what it raises Hydra would only warn of, so it ends here."""
        with one_sentence():
            _check(config)
            target = Path(config.hydra.sweep.dir)
            overrides = [typed(one, sweep=True) for one in plain(config.hydra.overrides.task)]
            known = read_request(target)
            same = known is not None and known.overrides == tuple(overrides)
            folder = claim(target, SWEEP, config.overwrite, same)
            new = [path for path in (folder, *folder.parents) if not path.exists()]
            lock = alone_with(folder)
            sweep = _begin_sweep(config, overrides, folder, target)
            _fix(config, str(folder.absolute()))
            watches.append(Watch(sweep, target, lock, new))


def _fix(config: DictConfig, folder: str) -> None:
    """Launchers compose every job again, maybe in another folder or on another machine: it must find this one."""
    kept = [one for one in plain(config.hydra.overrides.hydra) if not one.startswith("hydra.sweep.dir=")]
    with read_write(config):
        config.hydra.sweep.dir = folder
        config.hydra.overrides.hydra = [*kept, f"hydra.sweep.dir={QuotedString(folder, Quote.single).with_quotes()}"]


def _begin_sweep(config: DictConfig, overrides: list[str], folder: Path, target: Path) -> Sweep:
    settings = config.hydra
    given = [typed(word, sweep=True) for word in sys.argv[1:] if not word.startswith("hydra.sweep.dir=")]
    command = quoted(["python", "-m", "optimize", *given, f"hydra.sweep.dir={target}"])
    total = settings.sweeper.get("trials") or prod(len(list(one.sweep_string_iterator())) for one in _swept(config))
    return begin(folder, command, overrides, total)


def _check(config: DictConfig) -> None:
    """What no job would find out."""
    check_names(config)
    quiet.check()
    if config.hydra.sweeper.get("trials") is not None:
        _check_search(config.hydra.sweeper)
    if config.batches or any(one.get_key_element() == "batches" for one in _swept(config)):
        raise InputError(
            "batches= is for one run, since the jobs of a sweep are timed together; leave it out, and then give the "
            "job to take alone with it: what the sweep made is found again."
        )
    if config.bundle or any(one.get_key_element() == "bundle" for one in _swept(config)):
        raise InputError(
            "bundle=true is for one run, and this is a sweep; leave it out, and then give the job to take alone with "
            "bundle=true: what the sweep made is found again."
        )
    if config.plan or any(one.get_key_element() == "plan" for one in _swept(config)):
        raise InputError(
            "plan=true tells what one run will do, and this is a sweep; leave it out, or give one job alone."
        )
    if config.tracking == "mlflow":
        from optimize import tracking  # with it comes torch, which takes seconds

        tracking.check(config.tracking)


def _check_search(sweeper: DictConfig) -> None:
    for key, least in (("trials", 1), ("batch", 1), ("seed", 0)):
        if not isinstance(sweeper[key], int) or sweeper[key] < least:
            raise InputError(f"hydra.sweeper.{key}={sweeper[key]} is not allowed; give one whole number from {least}.")
    if find_spec("optuna") is None:
        raise InputError("a search needs optuna, which is not installed; run pip install '.[search]'.")


def _swept(config: DictConfig) -> list[Override]:
    """The keys that differ between jobs."""
    params = config.hydra.sweeper.get("params") or {}
    task = plain(config.hydra.overrides.task)
    given = [*(f"{key}={values}" for key, values in params.items()), *task]
    parsed = {one.get_key_element(): one for one in OverridesParser.create().parse_overrides(given)}
    return [one for one in parsed.values() if one.is_sweep_override()]
