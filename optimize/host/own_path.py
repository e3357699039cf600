"""Imports modules from where they are installed, never from the current folder, whose files may be untrusted."""

import os
import sys


def leave_current_folder() -> None:
    """Remove the current folder, which `python -m` adds, from sys.path of this process and of those that it starts.

    Folders in PYTHONPATH stay.
    """
    if not sys.flags.safe_path and sys.argv[0] == "-m":
        del sys.path[0]
    os.environ["PYTHONSAFEPATH"] = "1"  # Python 3.11 reads it
