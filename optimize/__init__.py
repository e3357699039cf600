"""Make YOLO models cheaper and measure the effect. Start at `cli.py`; the steps of a run are in `pipeline.py`."""

import sys

__version__ = "0.4.0"

if sys.argv[0] == "-m" and any(
    word.split(".")[0] == __name__ for word in sys.orig_argv
):  # a command of ours is starting
    from optimize.host.own_path import leave_current_folder

    leave_current_folder()
