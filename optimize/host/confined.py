"""While an untrusted file is read, this thread opens no connection, starts no process and changes no file.

Enforced by an audit hook (PEP 578): every library that uses Python's open, socket, os or subprocess raises these
events, so the refusal doesn't depend on the caller. Importing an installed module stays allowed. This is a second line
of defence: the code that reads the file must not attempt any of this in the first place.
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
    """Reading an untrusted file tried to open a connection, start a process or change a file."""


@contextmanager
def confined(on: bool = True) -> Iterator[None]:
    """Inside the `with`, raise Confined where this thread attempts any of that; with `on=False` nothing is refused."""
    if on:
        _listen()
    before = getattr(_thread, "on", False)
    _thread.on = before or on
    try:
        yield
    finally:
        _thread.on = before


@cache  # once per process: Python can't remove an audit hook
def _listen() -> None:
    sys.addaudithook(_refuse)


def _refuse(event: str, arguments: tuple[Any, ...]) -> None:
    if not getattr(_thread, "on", False):
        return
    if (event in EVENTS or (event == "open" and _writes(*arguments[:3]))) and not _imports():
        raise Confined(f"{event} of {arguments[0] if arguments else ''}")


def _imports() -> bool:
    """Whether a module is being imported: what an installed library does then is not caused by the file."""
    frame: FrameType | None = sys._getframe(2)
    while frame and frame.f_code.co_filename != "<frozen importlib._bootstrap>":
        frame = frame.f_back
    return frame is not None


def _writes(path: object, _mode: str | None, flags: int) -> bool:
    return bool(flags & WRITING) and path != os.devnull
