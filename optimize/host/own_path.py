"""Modules are imported from where they are installed, not from the current folder, whose files may be a stranger's."""

import os
import sys


def leave_current_folder() -> None:
    """Take the current folder from the path of this process, where `python -m` put it, and of those that it starts.

    A folder that PYTHONPATH names stays.
    """
    if not sys.flags.safe_path and sys.argv[0] == "-m":
        del sys.path[0]
    os.environ["PYTHONSAFEPATH"] = "1"  # Python 3.11 reads it
