"""Builds typed objects from config nodes, so that a wrong value is reported as one sentence before any work starts."""

from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass, make_dataclass
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.utils import get_class
from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from optimize.conf_folder import CONF as CONF
from optimize.errors import InputError
from optimize.literal import PATHS, hydra_word, literal

OURS = "optimize."  # how the `_target_` of a class of this package begins


def of_words(words: Sequence[str], keys: Sequence[str], lists: Sequence[str]) -> DictConfig:
    """Parse the `key=value` words of a tool's command line.

    Args:
        words: of the command line.
        keys: the allowed keys.
        lists: the keys that take a list; a single value becomes a list of one.

    Raises:
        InputError: a word is no `key=value`, its value can't be read, or its key is not allowed.
    """
    given = OmegaConf.create()
    for word in words:
        key, equals, _ = word.partition("=")
        if not equals:
            raise InputError(f"{word} is not allowed; give key=value, e.g. model=yolo26n.pt.")
        if key in PATHS:
            value = OverridesParser.create().parse_override(hydra_word(word, lists=lists, bare=True)).value()
            OmegaConf.update(given, key, [value] if key in lists and isinstance(value, str) and value else value)
            continue
        try:
            given.merge_with_dotlist([word])
        except (YAMLError, ValueError) as error:  # a key below one that has a value
            raise InputError(f"{word} can't be parsed; write a list as [a,b], without spaces.") from error
    if unknown := [str(key) for key in given if key not in keys]:
        raise InputError(f"{unknown[0]} is not a key; allowed are {', '.join(keys)}.")
    for key in lists:
        if given.get(key) not in (None, "") and not OmegaConf.is_list(given[key]):
            given[key] = [given[key]]
    return given


def plain(node: Any, resolve: bool = False) -> Any:
    """A config node as a plain Python list or dict; `${...}` in it is kept, unless `resolve`."""
    return OmegaConf.to_container(node, resolve=resolve)


def check_targets(config: DictConfig, trust: bool) -> None:
    """Check that every `_target_` names a class of this package before any is imported, since importing runs code.

    Raises:
        InputError: one is of another package, and `trust` is false.
    """
    for name, node in config.items():
        if isinstance(node, DictConfig):
            key = str(name)
            target = str(node.get("_target_", OURS))
            if not trust and not target.startswith(OURS):
                raise InputError(
                    f"{key}._target_={target} is not a class of this package, and importing it can run any code; leave "
                    "it out, or add trust=true if you trust its author."
                )
            check_targets(node, trust)


def build(node: DictConfig, where: str, **objects: Any) -> Any:
    """Build the object that `node` describes: `_target_` names a dataclass, the other keys are its fields.

    `hydra.utils.instantiate` checks no types, so the plain fields are merged into a structured config first. Nested
    nodes with a `_target_` are built the same way; fields that a config can't hold (a data set) come from `objects`.

    Args:
        node: one config node.
        where: its place on the command line, e.g. `quant`, for the error's sentence.
        objects: values for fields of that name, where the class has them.

    Raises:
        InputError: a value does not have its field's type.
    """
    target = node["_target_"]
    try:
        cls = get_class(target)
    except (ImportError, ValueError) as error:  # no such module or attribute, or not a class
        raise InputError(f"{where}._target_={target} can't be imported as a class; leave it out.") from error
    if not is_dataclass(cls):
        raise InputError(f"{where}._target_={target} is not a dataclass, so it has no settings; leave it out.")
    return typed(cls, node, where, **objects)


def typed(cls: type, node: Mapping[Any, Any], where: str, **objects: Any) -> Any:
    """An instance of the dataclass `cls` with the values of `node`, each checked against its field's type."""
    names = {field.name for field in fields(cls) if field.init}
    given = {str(key): node[key] for key in node if key != "_target_"}
    nested = {key: build(value, f"{where}.{key}", **objects) for key, value in given.items() if _is_object(value)}
    plain = {key: value for key, value in given.items() if key not in nested}
    hints = get_type_hints(cls)
    values = {}
    for key, value in plain.items():
        name = f"{where}.{key}".lstrip(".")
        if key not in names:
            raise InputError(f"{name} is not a setting of {cls.__name__}; allowed are {', '.join(sorted(names))}.")
        values[key] = _checked(hints[key], value, name)
    extra = {key: value for key, value in objects.items() if key in names and key not in values}
    return cls(**values, **nested, **extra)


def _is_object(value: Any) -> bool:
    return isinstance(value, DictConfig) and "_target_" in value


TEXTS, NUMBERS = tuple[str, ...], tuple[int, ...]
SIZE = int | tuple[int, ...] | None  # of an input: a side, or height and width
SIZES = tuple[SIZE, ...]
WORDS = {
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    str: "text",
    Path: "a path",
    TEXTS: "a list of names, e.g. [a,b]",
    TEXTS | None: "a list of names, e.g. [a,b], or none",
    NUMBERS: "a list of whole numbers, e.g. [320,640]",
    SIZE: "a whole number, height and width as [384,640], or null",
    SIZES: "a list of sizes, e.g. [320,[384,640]]",
}


def _checked(hint: Any, value: Any, name: str) -> Any:
    if get_origin(hint) is Literal:  # whose words the class checks itself
        hint = str
    if hint == SIZE:
        return _checked(NUMBERS if isinstance(value, ListConfig) else int | None, value, name)
    if hint in (TEXTS, TEXTS | None, NUMBERS, SIZES):
        if value == "none" and hint != TEXTS:  # turns a group off
            return None
        if not isinstance(value, ListConfig):
            raise InputError(f"{name}={value} is not allowed; give {WORDS[hint]}.")
        of_item = {NUMBERS: int, SIZES: SIZE}.get(hint, str)
        return tuple(_checked(of_item, item, name) for item in value)
    if isinstance(value, str):
        value = literal(value)  # its interpolations were resolved already
    holder = OmegaConf.structured(make_dataclass("Holder", [("value", hint)]))
    try:
        converted: Any = OmegaConf.to_object(OmegaConf.merge(holder, {"value": value}))
        return converted.value
    except OmegaConfBaseException as error:
        allowed = " or ".join(WORDS.get(kind, "null") for kind in get_args(hint) or (hint,))
        raise InputError(f"{name}={value} is not allowed; give {allowed}.") from error
