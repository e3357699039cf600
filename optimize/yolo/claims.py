"""What a checkpoint says of itself, as far as we go by it: its layers, yaml, classes, stride and task."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn
from ultralytics.nn import tasks
from ultralytics.nn.autobackend import check_class_names

from optimize.errors import InputError
from optimize.yolo import built
from optimize.yolo.bounded_yaml import CLASSES

TRUST = "(trust=true loads it anyway, for a file whose maker you trust)"
BEFORE = "before_pruning"  # where the yaml that can be built lies, inside that of a pruned checkpoint, which can't
STRIDES = 1, 1024
SIZES = 1, 16384  # pixels; the side of the largest satellite images that detectors are trained on whole is 4096


class Unusable(Exception):
    """What a checkpoint says of itself can't be; as the end of a sentence."""


def check(model: Any) -> None:
    """Raises Unusable where `model` is no network of ultralytics, or says of itself what can't be."""
    if not isinstance(model, tasks.BaseModel) or not isinstance(getattr(model, "model", None), nn.Sequential):
        raise Unusable("is not a YOLO checkpoint")
    if not isinstance(getattr(model, "yaml", None), dict):
        raise Unusable(f"has the yaml {_short(getattr(model, 'yaml', None))}, which describes no network")
    _check_yaml(model.yaml)
    if not isinstance(model.task, str):
        raise Unusable(f"has the task {_short(model.task)}, which is none")
    if not _are_names(getattr(model, "names", None)):
        raise Unusable(f"has the class names {_short(getattr(model, 'names', None))}, which are no names by number")
    stride = model.stride
    if not isinstance(stride, torch.Tensor) or not 0 < stride.numel() <= 16 or not _within(STRIDES, stride):
        raise Unusable(f"has the stride {_short(stride)}, which is no number of pixels")
    channels = model.yaml.get("channels", model.yaml.get("ch", 3))
    if not isinstance(channels, int) or not 1 <= channels <= 1024:
        raise Unusable(f"has the channels {_short(channels)}, which is no number of them")


def _check_yaml(yaml: dict[str, Any]) -> None:
    for described in (yaml, yaml.get(BEFORE, yaml)):
        if not built.describes_layers(described):
            raise Unusable("has a yaml without backbone and head, which describes no network")
        if tasks.SAFE_LOAD and (layer := built.fetching(described)):
            raise Unusable(f"names {layer} in its yaml, a layer that fetches weights when it is built {TRUST}")


def trained_size(args: Mapping[str, Any]) -> int | list[int]:
    """The size of the input that a checkpoint was trained at: a side, or height and width, in pixels.

    Raises:
        InputError: what stands there is none.
    """
    size: Any = args.get("imgsz")
    sides = size if isinstance(size, list | tuple) else [size]
    if not 1 <= len(sides) <= 2 or not all(type(side) is int and SIZES[0] <= side <= SIZES[1] for side in sides):
        raise InputError(
            f"the checkpoint says that it was trained at imgsz={_short(size)}, which is no size; give imgsz=, e.g. 640."
        )
    return size


def _are_names(names: Any) -> bool:
    if not isinstance(names, list | tuple | dict) or not 0 < len(names) <= CLASSES:
        return False
    if isinstance(names, dict) and not all(isinstance(key, int | str) for key in names):
        return False
    values = names.values() if isinstance(names, dict) else names
    if not all(isinstance(value, str | int | float) for value in values):
        return False
    try:
        return sorted(check_class_names(names if isinstance(names, dict) else list(names))) == list(range(len(names)))
    except (KeyError, ValueError):  # a number is missing, or is none
        return False


def _within(bounds: tuple[int, int], stride: torch.Tensor) -> bool:
    return bool(((stride >= bounds[0]) & (stride <= bounds[1])).all())


def _short(value: Any) -> str:
    text = repr(value) if isinstance(value, str | int | float | bool | None) else f"of type {type(value).__name__}"
    return text if len(text) <= 60 else f"{text[:60]}..."
