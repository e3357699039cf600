"""Windows' rules of the file system, kept on Linux: what is open or mapped is neither deleted, renamed nor replaced.

- os.rename onto anything that exists: FileExistsError.
- os.rename, os.replace, os.unlink and os.rmdir of a file that this process has open or mapped, or of a folder above
  one: PermissionError; so is os.replace onto such a file, or onto a folder.

What is open is what Linux tells of this process, and so files that libraries have open count too. A lock that is
called `something.lock` may go while it is held, since filelock itself deletes it on Windows as it lets go.
"""

import errno
import os
import re
from collections.abc import Callable

RULED = "rename", "replace", "unlink", "remove", "rmdir"
real = {name: getattr(os, name) for name in RULED}


def install() -> None:
    """From now on, in this process."""
    for name in ("unlink", "remove", "rmdir"):
        setattr(os, name, _deleting(real[name]))
    os.rename, os.replace = rename, replace
    os.supports_dir_fd.update(getattr(os, name) for name in RULED)  # shutil takes another way without


def uninstall() -> None:
    """For tests that installed it."""
    for name, function in real.items():
        setattr(os, name, function)


def _deleting(function: Callable) -> Callable:
    def delete(path, *, dir_fd=None):
        refuse_open(_absolute(path, dir_fd))
        return function(path, dir_fd=dir_fd)

    return delete


def rename(source, target, *, src_dir_fd=None, dst_dir_fd=None):
    to = _absolute(target, dst_dir_fd)
    if os.path.lexists(to) and to != _absolute(source, src_dir_fd):
        raise FileExistsError(errno.EEXIST, "Cannot create a file when that file already exists", to)
    refuse_open(_absolute(source, src_dir_fd))
    return real["rename"](source, target, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd)


def replace(source, target, *, src_dir_fd=None, dst_dir_fd=None):
    to = _absolute(target, dst_dir_fd)
    if os.path.isdir(to) and not os.path.islink(to):
        raise PermissionError(errno.EACCES, "Access is denied", to)
    refuse_open(_absolute(source, src_dir_fd))
    refuse_open(to)
    return real["replace"](source, target, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd)


def refuse_open(path: str) -> None:
    """Raise PermissionError if the file at `path`, or one below it, is open or mapped in this process."""
    if os.path.islink(path) or re.search(r"[^/]\.lock$", path):
        return
    for kept in _kept(path):
        if kept == path or kept.startswith(path + os.sep):
            raise PermissionError(errno.EACCES, "The process cannot access the file, since it is open", kept)


def _kept(path: str) -> list[str]:
    found = []
    for name in os.listdir("/proc/self/fd"):
        try:
            file = os.readlink(f"/proc/self/fd/{name}")
        except OSError:  # it was of that listing
            continue
        if file.startswith(path) and os.path.isfile(file):  # what is deleted already has another name
            found.append(file)
    with open("/proc/self/maps", encoding="utf-8", errors="replace") as file:  # no Path: a test may say this is Windows
        maps = file.read()
    if path in maps:
        found += [line.split(maxsplit=5)[5] for line in maps.splitlines() if path in line and "(deleted)" not in line]
    return found


def _absolute(path, folder: int | None) -> str:
    start = os.readlink(f"/proc/self/fd/{folder}") if folder is not None else os.getcwd()
    parent, name = os.path.split(os.path.join(start, os.fsdecode(path)))
    return os.path.join(os.path.realpath(parent), name) if name else os.path.realpath(parent)
