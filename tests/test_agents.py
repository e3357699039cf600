"""AGENTS.md is true: every command in it exists and parses, every key of results.json that it names is there."""

import json
import re
import shlex
from importlib.util import find_spec

import pytest
from hydra import compose, initialize_config_dir

from helpers import ROOT, reports
from optimize.bound.__main__ import _parsed
from optimize.config import CONF
from optimize.flops.__main__ import parse
from optimize.json_document import OPTION
from optimize.literal import hydra_words
from optimize.report import results

PAGE = (ROOT / "AGENTS.md").read_text(encoding="utf-8")
COMMANDS = sorted(set(re.findall(r"(?:^    |`)(python -m optimize[^`\n]*?)(?:`|$)", PAGE, re.MULTILINE)))
OWN = {"optimize.flops": parse, "optimize.bound": _parsed}  # commands with keys of their own


def test_it_names_commands():
    assert {shlex.split(command)[2] for command in COMMANDS} == {
        "optimize",
        *(f"optimize.{name}" for name in ("flops", "bound", "compare", "reproduce", "store")),
    }


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_can_be_given(command):
    _, _, module, *words = shlex.split(command)
    assert find_spec(module)
    keys = [word for word in words if "=" in word and not word.startswith("-")]
    if module == "optimize":
        with initialize_config_dir(str(CONF), version_base="1.3"):
            compose("config", hydra_words(keys, CONF), return_hydra_config=True)
    elif module in OWN:
        OWN[module](keys)
        assert {word for word in words if word.startswith("-")} <= {OPTION}
    else:
        source = ROOT.joinpath(*module.split("."))
        text = (source / "__main__.py" if source.is_dir() else source.with_suffix(".py")).read_text(encoding="utf-8")
        assert all(f'"{word}"' in text or word == OPTION for word in words if word.startswith("-"))


def test_every_target_of_make_and_exit_code_exists():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert all(f"\n{target}:" in makefile for target in re.findall(r"^    make ([\w-]+)", PAGE, re.MULTILINE))
    codes = (ROOT / "docs" / "exit_codes.md").read_text(encoding="utf-8")
    row = re.compile(r"^\| (\d+) \|", re.MULTILINE)
    assert row.findall(PAGE) == row.findall(codes)


def test_every_key_of_results_json_is_there(tmp_path):
    results.write(reports.report(), tmp_path / "results.json")
    whole = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))
    section = PAGE.partition("## Read results.json")[2].partition("\n## ")[0]
    row, times = whole["results"][0], whole["results"][0]["latency"]
    for name in re.findall(r"`([a-z_]+(?:\.[a-z_]+)*)`", section):
        first, _, second = name.partition(".")
        assert first in whole or first in times or (first in row and (not second or second in row[first])), name
