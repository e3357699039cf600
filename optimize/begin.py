"""Hydra's callback that checks the whole configuration and claims the run's folder before Hydra writes anything."""

import sys
from typing import TYPE_CHECKING

from hydra.core.hydra_config import HydraConfig
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, read_write

from optimize.literal import typed
from optimize.output import check_names
from optimize.sentences import one_sentence

if TYPE_CHECKING:  # it imports torch, which takes seconds that --help should not wait for
    from optimize.run import Begun, Checked

begun: list["Begun"] = []  # of this process; Hydra passes nothing from its callbacks to the job


class Begin(Callback):
    """Hydra's callback that rejects a wrong configuration before the run's folder is touched."""

    def on_run_start(self, config: DictConfig, **_: object) -> None:
        """Called before Hydra makes the folder. Hydra only warns of exceptions from here, so the process exits here."""
        with one_sentence():
            HydraConfig.instance().set_config(config)  # as Hydra does next; the folder's name may refer to it
            check_names(config)
            from optimize import run

            checked = run.check(config, [typed(word) for word in sys.argv[1:]])  # Hydra has parsed these words
            if checked.settings.plan:
                _show(checked)
                sys.exit(0)
            begun.append(run.begin(checked, config.overwrite))
            with read_write(config.hydra):
                config.hydra.run.dir = str(checked.folder)


def _show(checked: "Checked") -> None:
    from optimize.forecast import show
    from optimize.terminal import terminal
    from optimize.yolo.checkpoint import trusted

    with trusted(checked.settings.trust):
        show(checked.plan, terminal())
