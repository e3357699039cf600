"""conf/schema.json: what an editor needs to complete and check a yaml of overrides, from the one source of the keys.

Explanations and defaults come from the comments and values in conf/, types and allowed values from the dataclasses that
conf/ names. A value may always be `${...}`, the value of another key.
"""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import NoneType
from typing import Any, Literal, get_args, get_origin, get_type_hints

import yaml
from hydra.utils import get_class

from optimize.config import NUMBERS, OURS, SIZE, TEXTS
from optimize.keys import Choice, Key, choices, meaning, root
from optimize.limits import Limits
from optimize.settings import Settings

Schema = dict[str, Any]

REFERENCE = {"$ref": "#/definitions/reference"}
SCALARS: dict[Any, Any] = {
    int: "integer",
    float: "number",
    bool: "boolean",
    str: ["string", "number"],  # `device: 0` is a number in yaml
    Path: "string",
    NoneType: "null",
}


def schema(groups: Sequence[str], of_hydra: Sequence[str]) -> Schema:
    """The JSON schema (draft 7) of the composed configuration, and of every part of it.

    Args:
        groups: those whose keys are checked completely.
        of_hydra: those that may have further keys, of Hydra and its plugins.
    """
    whole = _node("The keys of a yolo-optimize run.", closed=True)
    _add_root(whole)
    for group in (*groups, *of_hydra):
        _add_group(whole, group, closed=group in groups)
    whole["properties"]["defaults"] = {"type": "array", "items": _overrides((*groups, *of_hydra))}
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "$comment": "Written by `make docs` from the comments in conf/ and the types of the classes named there.",
        "definitions": {"reference": {"type": "string", "pattern": r"\$\{.+\}", "description": "Of another key."}},
        **whole,
    }


def _add_root(whole: Schema) -> None:
    types = get_type_hints(Settings) | {f"limits.{name}": hint for name, hint in get_type_hints(Limits).items()}
    for key in root().values():
        if key.name in types:
            _at(whole, key.name, closed=True)[key.name.split(".")[-1]] = _leaf(key, types[key.name])
        elif key.name.startswith("hydra."):
            _at(whole, key.name, closed=False)[key.name.split(".")[-1]] = _leaf(key)
    whole["properties"]["limits"]["description"] = meaning("limits")


def _add_group(whole: Schema, group: str, closed: bool) -> None:
    offered = choices(group)
    place = group.replace("/", ".")
    types = _types(key for choice in offered for key in choice.keys)
    _at(whole, f"{place}.", closed)
    for choice in offered:
        for key in choice.keys:
            name = key.name.split(".")[-1]
            if not key.default or name == "defaults":  # what has keys below it; the files that a choice begins with
                continue
            leaves = _at(whole, key.name, closed)
            if name != "_target_" and (key.meaning or name not in leaves):
                leaves[name] = _leaf(key, types.get(key.name), _other_defaults(key, offered))
    if group in root():
        node = whole["properties"][group]
        node["description"] = meaning(group)
        for choice in offered:
            if choice.name in node["properties"]:  # a step or a runtime, with keys of its own
                node["properties"][choice.name] = {"description": choice.meaning, **node["properties"][choice.name]}


def _types(keys: Iterable[Key]) -> dict[str, Any]:
    """The type of every key that belongs to one of our classes."""
    return {
        key.name.removesuffix("_target_") + name: hint
        for key in keys
        if key.name.endswith("._target_") and key.default.startswith(OURS)
        for name, hint in get_type_hints(get_class(key.default)).items()
    }


def _other_defaults(key: Key, offered: Iterable[Choice]) -> list[str]:
    """Where other choices have other defaults, what the explanation says of these."""
    return [
        f"`{other.default}` for {choice.name}"
        for choice in offered
        for other in choice.keys
        if other.name == key.name and other.default != key.default
    ]


def _node(description: str, closed: bool) -> Schema:
    described = {"description": description} if description else {}
    allowed = {"patternProperties": {"^_target_$": {"type": "string"}}, "additionalProperties": False} if closed else {}
    return {**described, "type": "object", "properties": {}, **allowed}


def _at(whole: Schema, name: str, closed: bool) -> Schema:
    """The properties beside the key `name`, e.g. of `pruner.criterion` for `pruner.criterion.images`."""
    node = whole
    for part in name.split(".")[:-1]:
        node = node["properties"].setdefault(part, _node("", closed))
    return node["properties"]


def _leaf(key: Key, hint: Any = None, others: Sequence[str] = ()) -> Schema:
    default = yaml.safe_load(key.default)
    sentence = key.meaning or (f"By default the value of `{key.default[2:-1]}`." if "${" in key.default else "")
    if others:
        sentence = f"{sentence} Default: `{key.default}`; {', '.join(others)}."
    unknown = hint is None and default is None  # of Hydra or a plugin, whose classes may not be installed
    return {
        **({"description": sentence} if sentence else {}),
        **({} if others else {"default": default}),
        **({} if unknown else {"anyOf": [*_allowed(hint or type(default)), REFERENCE]}),
    }


def _allowed(hint: Any) -> Iterator[Schema]:
    """Schemas of which a value of this type meets one."""
    if hint == SIZE:
        yield {"type": ["integer", "null"]}
        yield {"type": "array", "items": {"type": "integer"}, "minItems": 2, "maxItems": 2}
    elif hint == TEXTS | None:
        yield {"const": "none"}
        yield from _allowed(TEXTS)
    elif hint == TEXTS:
        yield {"type": "array", "items": {"type": "string"}}
    elif hint == NUMBERS:
        yield {"type": "array", "items": {"type": "integer"}}
    elif get_origin(hint) is Literal:
        yield {"enum": list(get_args(hint))}
    elif hint in SCALARS:
        yield {"type": SCALARS[hint]}
    elif hint is dict:
        yield {"type": ["object", "null"]}
    else:  # a union
        for part in get_args(hint):
            yield from _allowed(part)


def _overrides(groups: Iterable[str]) -> Schema:
    """One entry of a `defaults` list, which selects the choice of a group."""
    entries = {}
    for group in groups:
        selected = {"anyOf": [{"const": choice.name, "description": choice.meaning} for choice in choices(group)]}
        several = {"type": "array", "items": selected}
        described = {"description": meaning(group)} if group in root() else {}
        entries[f"override /{group}"] = {**described, "anyOf": [selected, several]}
    return {"anyOf": [{"type": "string"}, {"type": "object", "properties": entries}]}
