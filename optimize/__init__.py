"""Make YOLO models cheaper and measure the effect. From Python, start at `optimize.optimize`.

In the code, start at `cli.py`; the steps of a run are in `pipeline.py`.
"""

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from optimize.api import optimize
    from optimize.run import Run
    from optimize.steps import bound_latency, count_flops, measure_latency, prune, quantize, sensitivity

__all__ = ["Run", "bound_latency", "count_flops", "measure_latency", "optimize", "prune", "quantize", "sensitivity"]
__version__ = "0.4.0"

if sys.argv[0] == "-m" and any(
    word.split(".")[0] == __name__ for word in sys.orig_argv
):  # a command of ours is starting
    from optimize.host.own_path import leave_current_folder

    leave_current_folder()


STEPS = "bound_latency", "count_flops", "measure_latency", "prune", "quantize", "sensitivity"
MODULES = {"optimize": "api", "Run": "run"} | dict.fromkeys(
    STEPS, "steps"
)  # imported at first use: torch and ultralytics take seconds


def __getattr__(name: str) -> Any:
    if name in MODULES:
        return getattr(import_module(f"optimize.{MODULES[name]}"), name)
    raise AttributeError(f"module 'optimize' has no attribute {name!r}")
