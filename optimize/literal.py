"""Translates words that a user types to Hydra's grammar and back, so that paths may hold any character.

For a key in `PATHS` everything after the first `=` is the value. Only a value that begins with a quote is left to
Hydra. A comma separates the items of a list or a sweep, unless the whole value names an existing file.
"""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import pairwise
from numbers import Real
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, Quote, QuotedString
from hydra.errors import HydraException
from omegaconf import OmegaConf

from optimize.errors import InputError

FOLDERS = "hydra.run.dir", "hydra.sweep.dir"  # of one run or sweep; `${now:%Y}` goes on working in them
PATHS = *FOLDERS, "model", "data", "store", "device_profile", "rivals", "out", "runs"
LISTS = ("rivals",)  # keys of the main command that take several values
DEVICE = "device"  # not a path, but `0,1` and `[0,1]` are one value here as well
SIGNS = frozenset("\\$'\" \t:=,()[]{}")  # characters that Hydra changes or interprets in a value without quotes

QUOTED = r"""'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*\""""
ELEMENT = re.compile(rf"\s*({QUOTED}|[^,]+?)\s*(?:,|$)", re.DOTALL)
FUNCTION = re.compile(r"(choice|range|interval|glob|shuffle|sort|tag)\(.*\)", re.DOTALL)


def hydra_words(words: Sequence[str], conf: Path) -> list[str]:
    """Translate the words of the main command's line to Hydra's grammar.

    Args:
        words: as they were typed.
        conf: the folder of the configuration, whose experiments may ask for a sweep.
    """
    sweep = sweeps(words, conf)
    return [hydra_word(word, sweep) for word in words]


def sweeps(words: Sequence[str], conf: Path) -> bool:
    """Whether the words ask for a sweep: by `-m`, by `hydra.mode`, or by an experiment that sets it."""
    if any(word == "-m" or (len(word) > 3 and "--multirun".startswith(word)) for word in words):
        return True
    values = dict(word.lstrip("+").partition("=")[::2] for word in words)
    if "hydra.mode" in values:
        return values["hydra.mode"].strip("'\"").upper() == "MULTIRUN"
    apart = [part for word in words for part in (word.split("=", 1) if word.startswith("--config-dir=") else [word])]
    others = [Path(folder) for flag, folder in pairwise(apart) if flag in ("--config-dir", "-cd")]
    yamls = (folder / "experiment" / f"{values.get('experiment')}.yaml" for folder in (*others, conf))
    yaml = next(filter(Path.is_file, yamls), None)
    return yaml is not None and OmegaConf.select(OmegaConf.load(yaml), "hydra.mode") == "MULTIRUN"


def hydra_word(word: str, sweep: bool = False, lists: Sequence[str] = LISTS, bare: bool = False) -> str:
    """Translate `word` to Hydra's grammar; a word that sets no path is returned unchanged.

    Args:
        word: as it was typed, e.g. `model=best (1).pt`.
        sweep: whether a comma separates the jobs of a sweep.
        lists: keys that take several values, as `[a,b]`.
        bare: whether such a list may also be given as `a,b`.
    """
    given, _, value = word.partition("=")
    key = given.lstrip("+")
    if key not in (*PATHS, DEVICE) or _is_grammar(value):
        return word
    if key in FOLDERS:
        return f"{given}={_quoted(value)}"
    several = sweep and "," in value and not os.path.exists(value)
    jobs = _jobs(value, key in (*lists, DEVICE)) if several else [value]
    return f"{given}={','.join(_list(job, bare) if key in lists else _one(job) for job in jobs)}"


def typed(word: str, sweep: bool = False) -> str:
    """Translate a word of Hydra's grammar back to what a user types: the inverse of `hydra_word`."""
    given, _, value = word.partition("=")
    if given.lstrip("+") not in (*PATHS, DEVICE) or not value:
        return word
    plain = f"{given}={_as_typed(OverridesParser.create().parse_override(word).value())}"
    return plain if hydra_word(plain, sweep) == word else word


def overrides(key: str, value: Any) -> Iterator[str]:
    """Words in Hydra's grammar that set `key`, and with a mapping the keys below it, to a value of Python.

    Args:
        key: as on the command line, e.g. `prune`.
        value: None, a bool, a number, a text or path, which is taken literally, a list of these, or a mapping.

    Raises:
        InputError: the value is nothing of these.
    """
    if isinstance(value, Mapping):
        for name, below in value.items():
            yield from overrides(f"{key}.{name}", below)
    else:
        yield f"{key}={_of_python(key, value)}"


def _of_python(key: str, value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return str(value).lower()
        case Real():
            return str(value)
        case str() | os.PathLike():
            return _quoted(literal(os.fspath(value)))
        case list() | tuple():
            return f"[{','.join(_of_python(key, item) for item in value)}]"
    raise InputError(
        f"{key} is of the type {type(value).__name__}, which is not allowed; give None, True or False, a number, text, "
        "a path, a list of these, or a dict of the keys below it."
    )


def literal(text: str) -> str:
    """Escape `text` for OmegaConf, so that `${` in it is not an interpolation."""
    return re.sub(r"(\\*)\$\{", r"\1\1\\${", text)


def _is_grammar(value: str) -> bool:
    """Whether Hydra parses `value`: an empty or quoted value, null, and a sweep by a function."""
    if value.lower() in ("", "null") or value.startswith(("'", '"')):
        return True
    return FUNCTION.fullmatch(value) is not None and not os.path.exists(value)


def _jobs(value: str, lists: bool) -> list[str]:
    """Split the values of a sweep at commas; with `lists`, commas inside brackets do not separate."""
    jobs: list[str] = []
    for element in ELEMENT.findall(value):
        if lists and jobs and jobs[-1].startswith("[") and not jobs[-1].endswith("]"):
            jobs[-1] += f",{element}"
        else:
            jobs.append(element)
    return jobs


def _list(value: str, bare: bool) -> str:
    """Translate `[a,b]`, and with `bare` also `a,b`, to a list in Hydra's grammar."""
    bracketed = value.startswith("[") and value.endswith("]") and not os.path.exists(value)
    if not bracketed and not (bare and "," in value):
        return _one(value)
    inside = value[1:-1] if bracketed else value
    elements = [inside] if os.path.exists(inside) else ELEMENT.findall(inside)
    return f"[{','.join(map(_one, elements))}]"


def _one(value: str) -> str:
    return value if _is_grammar(value) else _quoted(literal(value))


def _quoted(text: str) -> str:
    """`text`, in quotes where Hydra would change it without them."""
    with suppress(HydraException):
        if not SIGNS & set(text) and OverridesParser.create().parse_override(f"x={text}").value() == text:
            return text
    return QuotedString(text, Quote.single).with_quotes()


def _as_typed(value: Any) -> str:
    """A value that Hydra parsed, as the user typed it."""
    if isinstance(value, ChoiceSweep):
        return ",".join(map(_as_typed, value.list))
    if isinstance(value, list):
        return f"[{','.join(map(_as_typed, value))}]"
    if value is None:
        return "null"
    text = value.text if isinstance(value, QuotedString) else str(value)
    return re.sub(r"(\\*)\\\$\{", lambda found: "\\" * (len(found[1]) // 2) + "${", text)
