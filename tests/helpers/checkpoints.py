"""Checkpoints of a stranger, made out of an honest one, and what lies in a folder after they were read."""

from pathlib import Path

import torch

TRUST = "trust=true"  # what a refusal offers, for a file whose maker one trusts


class Call:
    """Calls `function` when it is unpickled; `state` is given to what that returns."""

    def __init__(self, function, *arguments, state=None):
        self.made = function, arguments, state

    def __reduce__(self):
        return self.made


class Attribute:
    """getattr(of, name), as pickle writes bound methods."""

    def __init__(self, of, name):
        self.made = getattr, (of, name)

    def __reduce__(self):
        return self.made


def files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


def changed(checkpoint: Path, path: Path, change) -> Path:
    """`checkpoint` with its content changed by `change`, at `path`."""
    content = torch.load(checkpoint, weights_only=False)
    change(content)
    torch.save(content, path)
    return path


def replaced(name: str, value):
    return lambda content: vars(content["model"]).update({name: value})
