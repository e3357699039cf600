"""The lint of what only some systems have finds each kind of it, and nothing in this package."""

import ast
from fnmatch import fnmatchcase

import pytest

import lint_portable

WRONG = {
    "import fcntl": "the module fcntl",
    "from pwd import getpwuid": "the module pwd",
    "import os\nos.sched_getaffinity(0)": "os.sched_getaffinity",
    "from os import killpg": "os.killpg",
    'hasattr(os, "fchmod")': "os.fchmod",
    'getattr(signal, "SIGKILL", 9)': "signal.SIGKILL",
    "signal.SIGALRM": "signal.SIGALRM",
    'Path("/proc/cpuinfo")': "the path /proc/cpuinfo",
    'open("/tmp", "rb")': "the path /tmp",
    'f"/dev/{name}"': "the path /dev/",
    "path.read_text()": "read_text() of text without an encoding",
    'path.open("a", newline="")': "open() of text without an encoding",
    "open(path)": "open() of text without an encoding",
    "subprocess.run(words, text=True)": "run() of text without an encoding",
    'get_context("fork")': "get_context('fork')",
}
RIGHT = (
    "os.getpid(), os.getppid(), os.kill(1, signal.SIGINT), os.dup2(1, 2), os.environ, os.EX_OK",
    "image.open(variant), Image.open(path), self.open(variant), path.open('rb'), open(path, 'wb'), path.read_bytes()",
    'write_text(path, "x"), path.write_text("x", encoding="utf-8"), subprocess.run(words, capture_output=True)',
    'Path("/home/me"), "a /tmp b", get_context("spawn"), set_start_method(None, force=True)',
)


@pytest.mark.parametrize(("code", "what"), WRONG.items())
def test_what_only_some_systems_have_is_found(code, what):
    assert [words for _, words in lint_portable.wrong(ast.parse(code))] == [what]


@pytest.mark.parametrize("code", RIGHT)
def test_what_all_have_is_not(code):
    assert list(lint_portable.wrong(ast.parse(code))) == []


def test_a_file_for_devices_asks_before_it_uses_a_name():
    asked = 'len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()'
    assert list(lint_portable.wrong(ast.parse(asked), on_device=True)) == []
    assert list(lint_portable.wrong(ast.parse("os.sched_getaffinity(0)"), on_device=True)) == [
        (1, "os.sched_getaffinity")
    ]


def test_the_package_has_none_of_it(capsys):
    with pytest.raises(SystemExit) as stop:
        lint_portable.main()
    assert (stop.value.code, capsys.readouterr().out) == (0, "")


EVERYWHERE = {
    "os": "_exit dup2 environ execv F_OK fsync getlogin getpid getppid kill link O_CREAT O_EXCL open P_WAIT pipe read "
    "readlink replace stat symlink times umask unlink utime waitpid W_OK write X_OK get_terminal_size EX_OK",
    "signal": "SIGABRT SIGFPE SIGILL SIGINT SIGSEGV SIGTERM SIG_DFL SIG_IGN signal raise_signal strsignal",
    "time": "monotonic perf_counter process_time sleep thread_time time",
}


@pytest.mark.parametrize("module", EVERYWHERE)
def test_the_table_has_no_name_that_windows_has(module):
    patterns = lint_portable.NAMES[module].split()
    assert [n for n in EVERYWHERE[module].split() if any(fnmatchcase(n, pattern) for pattern in patterns)] == []
