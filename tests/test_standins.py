"""The stand-in for other systems takes away what it should, from our files alone, and from every child process too."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from helpers.commands import python_path

pytestmark = pytest.mark.command

TESTS = Path(__file__).parent
STANDIN = TESTS / "standins"

OURS = '''
import os, signal, sys
from multiprocessing import get_context

def has(names, modules):
    """Those of the names and modules that this process has."""
    found = [name for name in names if hasattr(os, name) or hasattr(signal, name)]
    for module in modules:
        try:
            __import__(module)
            found.append(module)
        except ModuleNotFoundError:
            pass
    return found

if __name__ == "__main__":
    names, modules = (words.split(",") for words in sys.argv[1:])
    with get_context("spawn").Pool(1) as pool:
        print(*has(names, modules), "and", *pool.apply(has, (names, modules)))
'''


NAMES, MODULES = "fork,sched_getaffinity,fchmod,killpg,setsid,getuid,uname,SIGKILL", "fcntl,resource,pwd,grp"


@pytest.fixture
def ours():
    """A script that counts as one of our files, since it lies below tests/."""
    path = TESTS / f"standin_{os.getpid()}.py"
    path.write_text(OURS, encoding="utf-8")
    yield path
    path.unlink()


def run(script: Path, *words: str, **env: str) -> str:
    env = os.environ | {"PYTHONPATH": python_path(STANDIN)} | env
    done = subprocess.run([sys.executable, script, *words], env=env, capture_output=True, text=True, encoding="utf-8")
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_our_files_lack_what_only_unix_has_in_every_process(ours):
    assert run(ours, NAMES, MODULES) == "and"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has all of them")
def test_libraries_have_all_that_there_is(ours, tmp_path):
    foreign = tmp_path / "library.py"
    foreign.write_text(OURS, encoding="utf-8")
    every = " ".join([*NAMES.split(","), *MODULES.split(",")])
    assert run(foreign, NAMES, MODULES) == f"{every} and {every}"
