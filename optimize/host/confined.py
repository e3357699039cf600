"""While a stranger's file is read, this thread opens no connection, starts no process, and changes no file.

By Python's own audit events (PEP 578), which every library raises that goes through Python's open, socket, os and
subprocess: what is refused doesn't depend on who asks. Only an import of an installed module is let through. It is a
second fence: what reads the file must not try at all.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from threading import local
from types import FrameType
from typing import Any

REFUSED = {  # by module
    "socket": "connect bind sendto sendmsg getaddrinfo gethostbyname gethostbyaddr",
    "os": "system exec posix_spawn spawn fork forkpty startfile startfile/2 remove rename rmdir mkdir link symlink "
    "truncate chmod chown chflags utime setxattr removexattr",
    "subprocess": "Popen",
    "urllib": "Request",
    "webbrowser": "open",
    "winreg": "CreateKey SetValue DeleteKey",
}
EVENTS = frozenset(f"{module}.{name}" for module, names in REFUSED.items() for name in names.split())
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND

_thread = local()


class Confined(PermissionError):
    """Something was to be fetched, started or changed while a stranger's file was read."""


@contextmanager
def confined(on: bool = True) -> Iterator[None]:
    """Raise Confined where this thread would do any of that inside the `with`; unless `on`, change nothing."""
    if on:
        _listen()
    before = getattr(_thread, "on", False)
    _thread.on = before or on
    try:
        yield
    finally:
        _thread.on = before


@cache  # once in a process: Python takes no hook away again
def _listen() -> None:
    sys.addaudithook(_refuse)


def _refuse(event: str, arguments: tuple[Any, ...]) -> None:
    if not getattr(_thread, "on", False):
        return
    if (event in EVENTS or (event == "open" and _writes(*arguments[:3]))) and not _imports():
        raise Confined(f"{event} of {arguments[0] if arguments else ''}")


def _imports() -> bool:
    """Whether a module is being imported: what an installed library does then is not the file's doing."""
    frame: FrameType | None = sys._getframe(2)
    while frame and frame.f_code.co_filename != "<frozen importlib._bootstrap>":
        frame = frame.f_back
    return frame is not None


def _writes(path: object, _mode: str | None, flags: int) -> bool:
    return bool(flags & WRITING) and path != os.devnull
