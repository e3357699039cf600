"""Each key is explained once, by the comment above it in conf/; whatever repeats it takes it from there."""

import re
from collections import Counter
from dataclasses import fields

import pytest
from hydra.utils import get_class
from omegaconf import OmegaConf

from optimize import train
from optimize.bound import __main__ as bound
from optimize.config import CONF
from optimize.flops import __main__ as flops
from optimize.keys import __main__ as written
from optimize.keys import choices, listed, meaning, root
from optimize.limits import Limits
from optimize.settings import Settings

GROUPS = (*written.GROUPS, *written.OF_HYDRA)
SENTENCE = re.compile(r"\S.*\.")
UNEXPLAINED = {"_target_", "defaults", "distill"}  # what names a class or a file, and what makes distill of finetune


def keys_by_class() -> dict[type, dict[str, str]]:
    """For each class that a yaml names, the keys beside its name, each with what explains it."""
    found = {
        Settings: {name: key.meaning for name, key in root().items() if "." not in name},
        Limits: {name.removeprefix("limits."): key.meaning for name, key in root().items() if "limits." in name},
    }
    for keys in (choice.keys for group in GROUPS for choice in choices(group)):
        for target in keys:
            if re.fullmatch(r"optimize\..*|hydra_plugins\.optimize_search\..*", target.default):
                place = target.name.removesuffix("_target_")
                beside = {key.name.removeprefix(place): key for key in keys if key.name.startswith(place)}
                own = {name: key.meaning for name, key in beside.items() if "." not in name and key.default}
                found.setdefault(get_class(target.default), {}).update(own)
    return found


@pytest.mark.parametrize("path", written.texts(), ids=lambda path: path.name)
def test_what_is_committed_is_what_make_docs_writes(path):
    assert path.read_text(encoding="utf-8") == written.texts()[path], "run `make docs`, and commit what it writes"


@pytest.mark.parametrize("group", GROUPS)
def test_every_choice_is_explained(group):
    offered = choices(group)
    assert [choice.name for choice in offered] == sorted(path.stem for path in (CONF / group).glob("*.yaml"))
    assert all(SENTENCE.fullmatch(choice.meaning) for choice in offered)


@pytest.mark.parametrize("group", sorted({*GROUPS} - {"experiment"}))  # which has keys of others only
def test_every_key_of_a_choice_is_explained_by_one_yaml(group):
    keys = [key for choice in choices(group) for key in choice.keys]
    explained = Counter(key.name for key in keys if key.meaning)
    assert set(explained.values()) <= {1}
    for key in keys:
        has_keys, follows = not key.default, key.default.startswith("${")
        assert has_keys or follows or key.name in explained or key.name.split(".")[-1] in UNEXPLAINED, key


def test_every_key_of_the_root_is_explained():
    config = OmegaConf.load(CONF / "config.yaml")
    for key, value in config.items():
        if key not in ("defaults", "hydra"):
            for name in [key, *(f"{key}.{leaf}" for leaf in value)] if OmegaConf.is_dict(value) else [key]:
                assert SENTENCE.fullmatch(meaning(name))
    assert set(written.GROUPS) < set(root())


def test_a_key_is_no_header_and_a_reason_beside_a_value_no_explanation():
    lamp = {key.name: key for choice in choices("pruner") if choice.name == "lamp" for key in choice.keys}
    assert (lamp["pruner.defaults"].meaning, lamp["pruner.scope"].meaning) == ("", "")
    assert (lamp["pruner.scope"].default, root()["recover"].default) == ("global", "[bn, finetune]")


@pytest.mark.parametrize(("cls", "keys"), keys_by_class().items(), ids=lambda given: getattr(given, "__name__", ""))
def test_docstrings_leave_the_keys_to_the_yaml_and_say_which(cls, keys):
    attributes = set(re.findall(r"^ +(\w+): ", cls.__doc__, re.MULTILINE))
    assert not attributes & (set(keys) - UNEXPLAINED)
    if any(keys.values()):
        assert re.search(r"conf/[\w/]+\.yaml", cls.__doc__)


@pytest.mark.parametrize("command", [bound, flops, train], ids=lambda command: command.__spec__.name)
def test_other_commands_explain_a_key_that_is_the_same_in_the_same_words(command):
    assert listed(command.KEYS.items(), 120) in command.HELP
    for name in set(command.KEYS) & set(root()) - {"device_profile"}:  # of which bound has all values
        assert command.KEYS[name].startswith(meaning(name))


def test_every_key_of_other_commands_is_explained():
    assert {field.name for field in fields(bound.Settings)} <= set(bound.KEYS)
    assert {field.name for field in fields(flops.Arguments)} == set(flops.KEYS)


def test_a_sentence_stands_beside_its_name_and_below_a_long_one():
    assert listed([("a", "One two."), ("bcd", "Three.")], 14) == "  a    One\n       two.\n  bcd  Three."
    name = "n" * 27
    assert listed([(name, "One."), ("b", "Two.")]) == f"  {name}\n{'One.':>34}\n  b{'Two.':>31}"
