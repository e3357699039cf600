"""The yaml of a run, and the commands that do it."""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from optimize.compose import words
from optimize.config import CONF
from optimize.errors import InputError
from optimize.host.process import quoted
from optimize.literal import literal, typed

FOLDER = Path("mine")  # in the current folder; what --config-dir is given
NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")
VALUES = {"null", "none", "true", "false", "nan", "inf"}  # words that Hydra takes for no name


def file_of(name: str) -> Path:
    """The file of an experiment called `name`.

    Raises:
        InputError: an experiment can't be called so, or nothing may be written there.
    """
    if not NAME.fullmatch(name) or name.lower() in VALUES:
        raise InputError(f"{name} is not allowed; give letters, digits, _ and -, a letter first, e.g. camera.")
    if (CONF / "experiment" / f"{name}.yaml").exists():
        raise InputError(f"{name} is an experiment that is shipped; give another name.")
    file = FOLDER / "experiment" / f"{name}.yaml"
    for folder in (FOLDER, file.parent):
        if os.path.lexists(folder) and not folder.is_dir():
            raise InputError(f"{folder} is not a folder, so {file} can't be written; move it, or use another folder.")
    if os.path.lexists(file):
        raise InputError(f"{file} exists, and is not overwritten; give another name.")
    return file


def free_name(model: str) -> str:
    """A name that can be given, after the file of the model."""
    stem = re.sub(r"[^A-Za-z0-9_-]+", "_", Path(model).stem).lstrip("0123456789_-") or "camera"
    names = (stem, *(f"{stem}_{number}" for number in range(2, 1000)))
    return next(filter(_is_free, names), "")


def _is_free(name: str) -> bool:
    try:
        file_of(name)
    except InputError:
        return False
    return True


def text(keys: Mapping[str, Any]) -> str:
    """The yaml that sets `keys`, values of Python as for `optimize.optimize`."""
    rest = {key: value for key, value in keys.items() if key != "runtime"}
    group = [{"override /runtime": list(keys["runtime"])}] if "runtime" in keys else []
    body = ({"defaults": group} if group else {}) | _as_written(rest)
    head = f"# @package _global_\n# yaml-language-server: $schema={(CONF / 'schema.json').resolve().as_posix()}\n"
    return head + yaml.safe_dump(body, sort_keys=False, allow_unicode=True, width=10**6)


def _as_written(value: Any) -> Any:
    """`value` with its texts as OmegaConf reads them back."""
    if isinstance(value, Mapping):
        return {key: _as_written(below) for key, below in value.items()}
    return literal(value) if isinstance(value, str) else value


def write(keys: Mapping[str, Any], file: Path) -> None:
    """Write the yaml, whole or not at all.

    Raises:
        FileExistsError: another process has made it since `file_of`.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("x", encoding="utf-8", newline="\n") as stream:
        try:
            stream.write(text(keys))
            stream.flush()
        except BaseException:
            stream.close()  # Windows deletes no open file
            file.unlink()
            raise


def command_of(file: Path) -> str:
    """The command that uses the yaml, from any folder."""
    folder = os.path.abspath(file.parent.parent)
    return quoted(["python", "-m", "optimize", "--config-dir", folder, f"experiment={file.stem}"])


def plain_command(keys: Mapping[str, Any]) -> str:
    """The command that sets `keys` without a yaml."""
    return quoted(["python", "-m", "optimize", *map(typed, words(keys))])
