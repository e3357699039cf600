"""conf/schema.json describes conf/: what is composed from it is valid, and what the command refuses is not."""

import json
import re
from typing import Any

import pytest
import yaml
from hydra import compose, initialize_config_dir
from jsonschema import Draft7Validator
from omegaconf import OmegaConf

from helpers import ROOT
from optimize.config import CONF
from optimize.keys import choices, meaning
from optimize.keys.__main__ import OF_HYDRA, SETTINGS_OF

SCHEMA = json.loads((CONF / "schema.json").read_text(encoding="utf-8"))
CHOICES = [(group, choice.name) for group in SETTINGS_OF for choice in choices(group)]
NEED = {"joblib": "hydra_plugins.hydra_joblib_launcher", "ray": "hydra_plugins.hydra_ray_launcher"}
NEED |= {"slurm": "hydra_plugins.hydra_submitit_launcher", "search": "optuna"}


def faults(config: Any) -> list[str]:
    return [f"{error.json_path}: {error.message}" for error in Draft7Validator(SCHEMA).iter_errors(config)]


def composed(*words: str, resolve: bool = False, hydra: bool = False) -> Any:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = compose("config", list(words), return_hydra_config=hydra)
    return OmegaConf.to_container(config, resolve=resolve)


def at(*names: str) -> Any:
    node = SCHEMA
    for name in names:
        node = node["properties"][name]
    return node


def test_the_schema_itself_is_valid():
    Draft7Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("resolve", [False, True])
def test_the_default_configuration_is_valid(resolve):
    assert not faults(composed(resolve=resolve))


@pytest.mark.parametrize(("group", "name"), CHOICES)
def test_every_choice_is_valid_as_it_is_composed(group, name):
    value = f"[{name}]" if group in ("recover", "runtime") else name
    assert not faults(composed(f"{group}={value}"))


@pytest.mark.parametrize(("group", "name"), [(group, c.name) for group in OF_HYDRA for c in choices(group)])
def test_every_choice_of_hydra_is_valid_as_it_is_composed(group, name):
    pytest.importorskip(NEED[name])
    assert not faults(composed(f"{group}={name}", hydra=True))


def test_a_yaml_of_overrides_is_valid():
    assert not faults(yaml.safe_load((CONF / "experiment" / "search.yaml").read_text(encoding="utf-8")))
    assert not faults({"imgsz": [384, 640], "rivals": "none", "device": 0, "pruner": {"seed": "${seed}"}})


def test_the_example_in_the_docs_is_valid_and_can_be_composed(tmp_path):
    page = (ROOT / "docs" / "setup.md").read_text(encoding="utf-8")
    [example] = re.findall(r"^```yaml\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    assert not faults(yaml.safe_load(example))
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment" / "camera.yaml").write_text(example, encoding="utf-8")
    config = composed("experiment=camera", f"hydra.searchpath=[file://{tmp_path.as_posix()}]")
    assert (config["pruner"]["criterion"]["_target_"], config["pruner"]["round_to"]) == (
        "optimize.pruner.lamp.LAMP",
        32,
    )
    assert (list(config["runtime"]), config["limits"]["latency_ms"]) == (["openvino"], 20)


@pytest.mark.parametrize(
    ("overrides", "fault"),
    [
        ({"prun": 0.3}, "$: 'prun' does not match any of the regexes: '^_target_$'"),
        ({"pruner": {"rund_to": 8}}, "$.pruner: 'rund_to' does not match any of the regexes: '^_target_$'"),
        ({"pruner": {"scope": "globl"}}, "$.pruner.scope: 'globl' is not valid under any of the given schemas"),
        ({"epochs": "many"}, "$.epochs: 'many' is not valid under any of the given schemas"),
        ({"rivals": "a.pt"}, "$.rivals: 'a.pt' is not valid under any of the given schemas"),
    ],
)
def test_a_mistake_is_not_valid(overrides, fault):
    assert faults(overrides) == [fault]


def test_a_key_has_its_explanation_default_and_allowed_values():
    tracking = at("tracking")
    assert (tracking["description"], tracking["default"]) == (meaning("tracking"), "none")
    assert tracking["anyOf"][0] == {"enum": ["none", "mlflow"]}
    assert at("pruner", "target")["anyOf"][0] == {"enum": ["flops", "params", "channels", "latency"]}
    assert at("pruner", "max_ratio")["description"].endswith("Default: `0.75`; `0.5` for lamp.")
    assert at("quant", "seed")["description"] == "By default the value of `seed`."


def test_a_list_of_defaults_offers_the_choices_of_every_group():
    entry = at("defaults")["items"]["anyOf"][1]["properties"]
    for group in (*SETTINGS_OF, *OF_HYDRA):
        offered = entry[f"override /{group}"]["anyOf"][0]["anyOf"]
        assert [(o["const"], o["description"]) for o in offered] == [(c.name, c.meaning) for c in choices(group)]
