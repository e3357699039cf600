"""Composes the configuration of a run from values of Python, as Hydra does from the command line."""

from collections.abc import Mapping, Sequence
from typing import Any
from unittest.mock import patch

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.singleton import Singleton
from hydra.errors import HydraException
from hydra.types import RunMode
from hydra.version import VersionBase
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from optimize.conf_folder import CONF
from optimize.errors import InputError
from optimize.keys import OF_CONF
from optimize.literal import literal, overrides
from optimize.sentences import CHOICES, sentence

FOLDER = "hydra.run.dir"  # the one key of Hydra that Python takes


def words(keys: Mapping[str, Any]) -> list[str]:
    """The words of a command line, in Hydra's grammar, that set `keys`.

    Raises:
        InputError: a value has a type that its key doesn't take, or the key is one of the command line alone.
    """
    unset = ("experiment", None), ("limits", None)  # on a command line they are left out
    chosen = {key: value for key, value in keys.items() if (key, value) not in unset}
    for key in OF_CONF:
        if not isinstance(chosen.get(key, ""), str | Sequence | Mapping):
            raise InputError(f"{key}={chosen[key]} is not allowed; {CHOICES}")
    given = [word for key, value in chosen.items() for word in overrides(key, value)]
    if foreign := [word for word in given if word.startswith("hydra") and not word.startswith(f"{FOLDER}=")]:
        raise InputError(f"{foreign[0]} is for the command line alone; of Hydra's keys, Python takes {FOLDER} alone.")
    return given


def composed(given: Sequence[str]) -> DictConfig:
    """The whole configuration, with Hydra's keys, for words in Hydra's grammar. Hydra itself is left as it was.

    Raises:
        InputError: a key or a choice does not exist, or the words ask for several runs.
    """
    try:
        with patch.dict(Singleton._instances):  # a program may itself be configured by Hydra
            for singleton in GlobalHydra, VersionBase:
                Singleton._instances.pop(singleton, None)
            with initialize_config_dir(str(CONF.resolve()), "optimize", "1.3"):
                config = compose("config", list(given), return_hydra_config=True)
                config.hydra.run.dir = literal(config.hydra.run.dir)  # the time in it is read once
    except (HydraException, OmegaConfBaseException, ValueError) as error:
        if known := sentence(error):
            raise InputError(known) from error
        raise
    if config.hydra.mode == RunMode.MULTIRUN:
        raise InputError(
            f"experiment={config.hydra.runtime.choices.experiment} is many runs, which the command line does; give "
            f"`python -m optimize experiment={config.hydra.runtime.choices.experiment}`."
        )
    return config
