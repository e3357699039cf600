"""Hydra looks for sweepers in this folder only; what ours does is in optimize/sweep/search.py.

It is imported whenever Hydra starts, so nothing heavy is imported here.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf


class Search(Sweeper):
    """Runs the jobs that Optuna asks for, through whatever launcher was chosen.

    Its arguments are the keys of conf/hydra/sweeper/search.yaml, which explains them.
    """

    config: DictConfig  # these are set before Hydra calls anything else
    hydra_context: HydraContext
    launcher: Launcher

    def __init__(self, trials: int, batch: int, seed: int, params: Mapping[str, Any]) -> None:
        self.trials, self.batch, self.seed, self.params = trials, batch, seed, params

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Called by Hydra."""
        from hydra.core.plugins import Plugins

        self.config, self.hydra_context = config, hydra_context
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> None:
        """Called by Hydra with what was set on the command line."""
        from optimize.sweep.search import search
        from optimize.sweep.search.space import space

        parser = OverridesParser.create(config_loader=self.hydra_context.config_loader)
        given = parser.parse_overrides([*(f"{key}={values}" for key, values in self.params.items()), *arguments])
        by_key = {one.get_key_element(): one for one in given}
        fixed = {key: one.get_value_element_as_str() for key, one in by_key.items() if not one.is_sweep_override()}
        searched = space([one for one in by_key.values() if one.is_sweep_override()])
        folder = Path(self.config.hydra.sweep.dir)
        asked = search.Asked(fixed, searched, self.trials, self.batch, self.seed)
        self._check(search.each_choice(asked))
        OmegaConf.save(self.config, folder / "multirun.yaml")
        search.run(asked, folder, self._launch)

    def _launch(self, batch: list[dict[str, str]], first: int) -> None:
        for ended in self.launcher.launch(_words(batch), initial_job_idx=first):
            _ = ended.return_value  # raises what the job could not write into its folder

    def _check(self, batch: list[dict[str, str]]) -> None:
        """What is no key, or no choice, is found here, before any work starts."""
        self.validate_batch_is_legal(_words(batch))


def _words(batch: list[dict[str, str]]) -> list[list[str]]:
    return [[f"{key}={value}" for key, value in overrides.items()] for overrides in batch]
