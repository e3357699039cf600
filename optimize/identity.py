"""What the result of a stage depends on, as text; its key in the store follows from it.

A stage states it by its fields: all take part, but those that are marked `metadata=OUTSIDE`.
"""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from inspect import ismethod
from types import MappingProxyType

# Of a field that decides nothing about the result, or for whose content another field stands.
OUTSIDE: Mapping[str, bool] = MappingProxyType({"identity": False})


def identity(thing: object) -> str:
    """The class of a dataclass with its fields, recursively; of a method also its name; of all else its `repr`.

    Classes of other packages are named with their module, since two of them may have one name.
    """
    if ismethod(thing):
        return f"{identity(thing.__self__)}.{thing.__name__}"
    if isinstance(thing, tuple | list):
        return f"({', '.join(map(identity, thing))})"
    if not is_dataclass(thing) or isinstance(thing, type):
        return repr(thing)
    kind = type(thing)
    name = kind.__qualname__ if kind.__module__.startswith("optimize.") else f"{kind.__module__}.{kind.__qualname__}"
    parts = [f"{one.name}={identity(getattr(thing, one.name))}" for one in fields(thing) if _takes_part(one.metadata)]
    return f"{name}({', '.join(parts)})"


def _takes_part(metadata: Mapping[str, bool]) -> bool:
    return metadata.get("identity", True)
