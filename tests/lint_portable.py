"""`python tests/lint_portable.py`, part of `make lint`: what only some systems have stands in optimize/host/ alone.

Checked in optimize/ and hydra_plugins/: modules and names whose documentation says "Availability: Unix" (or names some
Unixes), also where hasattr or getattr asks for them; paths below Unix' own folders; text files without an encoding;
processes that are not spawned. optimize/bundle/files/ is copied to devices and runs there alone, without host/: there a
name may stand if the same file asks `hasattr(os, "name")`, and a path, since it reads files that may be missing.
"""

import ast
import re
import sys
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path

ROOT = Path(__file__).parent.parent
HOST, DEVICE = ROOT / "optimize/host", ROOT / "optimize/bundle/files"
CHECKED = "optimize", "hydra_plugins"

# The library reference of Python 3.11: "Unix Specific Services", and what the pages of these modules say.
MODULES = {
    *("crypt", "curses", "fcntl", "grp", "nis", "posix", "pty", "pwd"),
    *("readline", "resource", "spwd", "syslog", "termios", "tty"),
}
NAMES = {
    "os": """CLD_* EFD_* EX_[!O]* EX_OS*
        F_LOCK F_TEST F_TLOCK F_ULOCK MFD_* O_ASYNC O_CLOEXEC O_DIRECTORY O_DSYNC O_NOATIME O_NOCTTY O_NOFOLLOW
        O_NONBLOCK O_PATH O_RSYNC O_SYNC O_TMPFILE P_ALL P_PGID P_PID P_PIDFD POSIX_* PRIO_* RWF_* SF_* W[A-Z]* chflags
        chown chroot confstr* copy_file_range ctermid environb eventfd* fchdir fchmod fchown fdatasync fork forkpty
        fpathconf fstatvfs fwalk get_blocking getegid getenvb geteuid getgid getgrouplist getgroups getloadavg getpgid
        getpgrp getpriority getrandom getresgid getresuid getsid getuid initgroups killpg lchflags lchmod lchown lockf
        login_tty major makedev memfd_create minor mkfifo mknod nice openpty pathconf* pidfd_open pipe2 plock posix_*
        pread preadv pwrite pwritev readv register_at_fork sched_* sendfile set_blocking setegid seteuid setgid
        setgroups setpgid setpgrp setpriority setregid setresgid setresuid setreuid setsid setuid splice statvfs sync
        sysconf* tcgetpgrp tcsetpgrp ttyname uname wait wait3 wait4 waitid writev""",
    "signal": """ITIMER_* SIGALRM SIGBUS SIGCHLD SIGCLD SIGCONT SIGHUP SIGIO SIGKILL SIGPIPE SIGPOLL SIGPROF SIGPWR
        SIGQUIT SIGRT* SIGSTKFLT SIGSTOP SIGSYS SIGTRAP SIGTSTP SIGTTIN SIGTTOU SIGURG SIGUSR1 SIGUSR2 SIGVTALRM
        SIGWINCH SIGXCPU SIGXFSZ SIG_BLOCK SIG_SETMASK SIG_UNBLOCK alarm getitimer pause
        pidfd_send_signal pthread_* setitimer
        siginterrupt sigpending sigtimedwait sigwait sigwaitinfo""",
    "time": "CLOCK_* clock_* pthread_getcpuclockid tzset",
    "shutil": "chown",
    "sys": "abiflags getdlopenflags setdlopenflags",
    "socket": "AF_UNIX CMSG_* SCM_* sethostname",
    "select": "PIPE_BUF epoll kqueue poll",
}
FOLDERS = re.compile(r"/(proc|tmp|dev|sys)(/.*)?", re.DOTALL)


def wrong(tree: ast.AST, on_device: bool = False) -> Iterator[tuple[int, str]]:
    """Line and words of everything that not all systems have; `on_device` as for optimize/bundle/files/."""
    asked = {node.args[1].value for node in ast.walk(tree) if on_device and _calls(node, "hasattr")}
    for node in ast.walk(tree):
        for module, name in _used(node):
            if module in MODULES:
                yield node.lineno, f"the module {module}"
            elif name not in asked and any(fnmatchcase(name, one) for one in NAMES.get(module, "").split()):
                yield node.lineno, f"{module}.{name}"
        if isinstance(node, ast.Constant) and not on_device and FOLDERS.fullmatch(str(node.value)):
            yield node.lineno, f"the path {node.value}"
        if isinstance(node, ast.Call) and _is_text(node) and "encoding" not in {word.arg for word in node.keywords}:
            yield node.lineno, f"{_name(node)}() of text without an encoding"
        if _starts_processes(node) and _constant(node.args, 0) not in ("spawn", None):
            yield node.lineno, f"{_name(node)}({node.args[0].value!r})"


def _used(node: ast.AST) -> Iterator[tuple[str, str]]:
    """Module and name of what is imported, taken from a module, or asked for with getattr or hasattr."""
    if isinstance(node, ast.Import):
        yield from ((alias.name.partition(".")[0], "") for alias in node.names)
    elif isinstance(node, ast.ImportFrom) and not node.level:
        yield from ((node.module.partition(".")[0], alias.name) for alias in node.names)
    elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        yield node.value.id, node.attr
    elif _calls(node, "hasattr", "getattr") and isinstance(node.args[0], ast.Name):
        yield node.args[0].id, str(_constant(node.args, 1))


def _is_text(call: ast.Call) -> bool:
    """Whether a file is opened, or a process run, so that bytes become text."""
    name, is_method = _name(call), isinstance(call.func, ast.Attribute)
    if name == "open":  # open(file, mode), or path.open(mode); a mode that isn't written there is none
        place = 0 if is_method else 1
        mode = _constant(call.args, place) if len(call.args) > place else "r"
        return isinstance(mode, str) and "b" not in mode
    if name in ("read_text", "write_text"):
        return is_method
    return name in ("run", "Popen", "check_output") and any(word.arg == "text" for word in call.keywords)


def _starts_processes(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and _name(node) in ("get_context", "set_start_method")


def _calls(node: ast.AST, *names: str) -> bool:
    return isinstance(node, ast.Call) and _name(node) in names and len(node.args) > 1


def _name(call: ast.Call) -> str:
    return getattr(call.func, "attr", getattr(call.func, "id", ""))


def _constant(values: list[ast.expr], place: int) -> object:
    return getattr(values[place], "value", None) if len(values) > place else None


def main() -> None:
    count = 0
    for path in sorted(path for folder in CHECKED for path in (ROOT / folder).rglob("*.py")):
        if not path.is_relative_to(HOST):
            for line, what in wrong(ast.parse(path.read_text(encoding="utf-8")), path.is_relative_to(DEVICE)):
                print(f"{path.relative_to(ROOT)}:{line}: {what}; not every system has it, see optimize/host/")
                count += 1
    sys.exit(count > 0)


if __name__ == "__main__":
    main()
