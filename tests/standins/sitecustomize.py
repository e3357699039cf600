"""A stand-in for systems that lack what only Unix has: `PYTHONPATH=tests/standins python ...`, or `make test-standin`.

Python imports this as it starts, and so in every child process as well. For callers in files of this repository the
modules and names of lint_portable.py are not there; libraries keep them, since they bring what each system needs. With
STANDIN_FILES=1 the file system keeps Windows' rules too, for everybody: see windows_files.py.
"""

import builtins
import os
import signal
import sys
from fnmatch import fnmatchcase
from pathlib import Path
from runpy import run_path
from types import ModuleType

HERE = Path(__file__).parent
OURS = tuple(f"{HERE.parents[1] / name}{os.sep}" for name in ("optimize", "hydra_plugins", "tests", "benchmarks"))
LINT = run_path(str(HERE.parent / "lint_portable.py"))
MODULES = LINT["MODULES"] - {"posix"}  # where pickle looks for the functions of os
LACKING = {
    module.__name__: {
        name for name in dir(module) if any(fnmatchcase(name, one) for one in LINT["NAMES"][module.__name__].split())
    }
    for module in (os, signal)
}


def is_ours(file: str) -> bool:
    return file.startswith(OURS) and not file.startswith(str(HERE))


class Lacking(ModuleType):
    """A module without some of its names, for callers in our files."""

    def __getattribute__(self, name: str):
        lacking = LACKING[ModuleType.__getattribute__(self, "__name__")]
        if name in lacking and is_ours(sys._getframe(1).f_code.co_filename):
            raise AttributeError(f"this system has no {name}")
        return ModuleType.__getattribute__(self, name)


def import_(name: str, *arguments, **named):
    if name.partition(".")[0] in MODULES and is_ours(sys._getframe(1).f_code.co_filename):
        raise ModuleNotFoundError(f"this system has no module {name}", name=name)
    return imported(name, *arguments, **named)


imported, builtins.__import__ = builtins.__import__, import_
os.__class__ = signal.__class__ = Lacking

if os.environ.get("STANDIN_FILES") == "1":
    import windows_files

    windows_files.install()
