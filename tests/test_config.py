"""Every yaml names a class that exists, says how it is used, and is explained by --help."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from omegaconf import DictConfig, OmegaConf

from helpers.messages import like, says
from optimize import remarks
from optimize.config import CONF, build, typed
from optimize.errors import InputError
from optimize.limits import Limits
from optimize.settings import Settings

YAMLS = sorted(CONF.rglob("*.yaml"))
CHOICES = [
    p for p in YAMLS if p.parent.parent == CONF and p.parent.name != "experiment"
]  # which has keys of others only
ROOT = {"model": "a.pt", "data": "a.yaml", "imgsz": None, "prune": 0.3, "epochs": 1, "batch": 16} | {
    **{"device": None, "seed": 0, "threads": None, "rounds": 12, "rivals": [], "store": "runs/store"}
}


def settings(**changes) -> Settings:
    return typed(Settings, OmegaConf.create(ROOT | changes), "")


def test_no_folder_named_prune_since_it_would_break_prune_as_a_number():
    assert not (CONF / "prune").exists()


@pytest.mark.parametrize("yaml", YAMLS, ids=lambda p: str(p.relative_to(CONF)))
def test_every_yaml_starts_with_a_command_that_uses_it(yaml):
    first = yaml.read_text().removeprefix("# @package _global_\n").splitlines()[0]  # which Hydra wants above all
    assert first.startswith("# python -m optimize ")
    if yaml.parent != CONF:
        group = yaml.parent.relative_to(CONF)
        assert re.search(rf"\b{group}=({yaml.stem}\b|\[(\w+,)*{yaml.stem}[,\]])", first)


@pytest.mark.parametrize("yaml", CHOICES, ids=lambda p: str(p.relative_to(CONF)))
def test_every_key_of_every_yaml_is_explained_by_help(yaml):
    help_text = OmegaConf.load(CONF / "hydra" / "help" / "optimize.yaml").template
    assert yaml.stem in help_text
    for name in leaves(OmegaConf.to_container(OmegaConf.load(yaml)), yaml.parent.name):
        assert f"\n  {name} " in help_text


def leaves(node: dict, place: str) -> Iterator[str]:
    """The keys that a user would set, by their place; those of the root and what names a class are not."""
    for key, value in node.items():
        if isinstance(value, dict):
            yield from leaves(value, f"{place}.{key}")
        elif key not in ("_target_", "defaults", "distill") and not (isinstance(value, str) and value.startswith("${")):
            yield f"{place}.{key}"


def test_every_root_key_is_explained_by_help():
    config = OmegaConf.load(CONF / "config.yaml")
    help_text = OmegaConf.load(CONF / "hydra" / "help" / "optimize.yaml").template
    for key, value in config.items():
        if key not in ("defaults", "hydra"):
            for name in [f"{key}.{leaf}" for leaf in value] if isinstance(value, DictConfig) else [key]:
                assert f"\n  {name} " in help_text


def test_values_are_converted_and_checked():
    made = settings(imgsz=320, device=0, threads=2)
    assert (made.imgsz, made.device, made.threads, made.store) == (320, "0", 2, Path("runs/store"))
    assert [settings(rivals=given).rivals for given in ([], ["a.pt", "b.pt"], "none")] == [(), ("a.pt", "b.pt"), None]


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"max_drop": -1}, "limits.max_drop=-1 ... 0 or more ... null"),
        ({"latency_ms": 0}, "limits.latency_ms=0 ... more than 0 ... null"),
        ({"flops": -4e9}, "limits.flops=-4e+09 ... more than 0 ... null"),
        ({"size_mb": float("nan")}, "limits.size_mb=nan ... more than 0 ... null"),
        ({"latency_ms": "fast"}, "limits.latency_ms=fast ... a number or null"),
        ({"watts": 1}, "limits.watts ... flops, frame_ms, latency_ms, max_class_drop, max_drop, size_mb"),
    ],
)
def test_a_limit_that_is_none_is_one_sentence(given, sentence):
    with pytest.raises(InputError, match=like(sentence)):
        typed(Limits, OmegaConf.create(given), "limits")


def test_limits_are_optional_and_the_drop_may_be_zero():
    assert typed(Limits, OmegaConf.create({"max_drop": 0, "flops": 4e9, "size_mb": None}), "limits") == Limits(
        0, None, 4e9
    )


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"prune": 1.2}, "prune=1.2 ... 0 <= prune < 1"),
        ({"prune": -0.1}, "prune=-0.1 ... 0 <= prune < 1"),
        ({"prune": "abc"}, "prune=abc ... a number"),
        ({"imgsz": -64}, "imgsz=-64 ... pixels ... stride ... 640 ... [384,640] ... leave imgsz out"),
        ({"imgsz": 0}, "imgsz=0 ... pixels ... stride"),
        ({"imgsz": [64, 96, 3]}, "imgsz=[64,96,3] ... height and width"),
        ({"imgsz": [64, -1]}, "imgsz=[64,-1] ... height and width"),
        ({"imgsz": []}, "imgsz=[] ... height and width"),
        ({"imgsz": [64, "wide"]}, "imgsz=wide ... a whole number"),
        ({"epochs": 1.5}, "epochs=1.5 ... a whole number"),
        ({"epochs": -1}, "epochs=-1 ... 0 or more"),
        ({"batches": [0]}, "batches=[0] ... numbers of 1 to 1024"),
        ({"batches": [4, 4]}, "batches=[4,4] ... each once"),
        ({"streams": []}, "streams=[] ... numbers of 1 to 1024"),
        ({"nms": True}, "nms=true ... false for the head that needs no NMS, or null"),
        ({"bundle_input": "int8"}, "bundle_input=int8 ... float32 or uint8"),
        ({"frame": "0x0"}, "frame=0x0 ... width x height in pixels ... frame=1920x1080 ... null"),
        ({"batch": 0}, "batch=0 ... 1 or more"),
        ({"rounds": 3}, "rounds=3 ... 12 or more"),
        ({"threads": 0}, "threads=0 ... 1 or more"),
        ({"rivals": "yolov8n.pt"}, "rivals=yolov8n.pt ... a list ... [a,b], or none"),
        ({"rivals": None}, "rivals=None ... a list ... [a,b], or none"),
        ({"unknown": 1}, "unknown ... Settings"),
    ],
)
def test_a_wrong_value_is_one_sentence(changes, sentence):
    with pytest.raises(InputError) as error:
        settings(**changes)
    assert says(str(error.value), sentence)
    assert "\n" not in str(error.value)


def test_a_wrong_value_in_a_group_is_named_by_its_place():
    node = OmegaConf.create({"_target_": "optimize.quant.int8.Int8", "calibration_images": "abc", "seed": 0})
    with pytest.raises(InputError, match=like("quant.calibration_images=abc ... a whole number")):
        build(node, "quant", data=None)


def test_a_list_of_texts_becomes_a_tuple_and_nothing_else_is_taken_for_one():
    node = {
        "_target_": "optimize.pruner.settings.Pruning",
        "share": 0.3,
        "criterion": {"_target_": "optimize.pruner.l2.L2"},
    }
    made = build(OmegaConf.create(node | {"protect": ["model.0.*", "model.22.*"]}), "pruner")
    assert made.protect == ("model.0.*", "model.22.*")
    with pytest.raises(InputError, match=like("pruner.protect=model.0 ... a list ... [a,b]")):
        build(OmegaConf.create(node | {"protect": "model.0"}), "pruner")


@pytest.mark.parametrize(
    ("quota", "threads", "said"),
    [
        (0.5, 2, "may use 0.5 cores by its CPU quota ... fewer than its 2 threads ... give fewer threads="),
        (2.0, 2, None),
        (None, 2, None),
    ],
)
def test_a_cpu_quota_below_the_threads_is_a_remark(quota, threads, said, monkeypatch):
    monkeypatch.setattr(remarks, "quota", lambda: quota)
    found = remarks._quota(settings(threads=threads))
    assert says(found[0], said) if said else found == []
