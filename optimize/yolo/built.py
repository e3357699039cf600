"""A network is built from a yaml that may be a stranger's: nothing is fetched, and it is no larger than any in use."""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from ultralytics.nn import tasks
from ultralytics.nn.modules import TorchVision

from optimize.host.confined import confined
from optimize.yolo.bounded_yaml import CLASSES
from optimize.yolo.watched import Watched

ROWS, REPEATS, NUMBER = 500, 300, 8192  # several times those of the largest yaml of ultralytics
ELEMENTS = 300_000_000  # of all tensors: twice those of the largest network of ultralytics, yolov5x6u
FACTORIES = torch.empty, torch.zeros, torch.ones, torch.full, torch.rand, torch.randn, torch.arange


class TooLarge(ValueError):
    """A yaml describes more than any network in use has."""


def build(kind: type[tasks.BaseModel], yaml: dict[str, Any], channels: int) -> tasks.BaseModel:
    """`kind(yaml, ch=channels)`, without the weights that some layers would fetch.

    Args:
        kind: a model class of ultralytics.
        yaml: as its constructor takes it, and `describes_layers`; it is changed.
        channels: of the images.

    Raises:
        TooLarge: its numbers are larger than those of any network in use.
        Exception: whatever ultralytics and torch raise of a yaml that can't be built.
    """
    check_numbers(yaml)
    for row in rows(yaml):
        if row[2] == TorchVision.__name__ and len(row[3]) > 2:
            row[3][2] = None
    with confined(tasks.SAFE_LOAD), Watched(_Allocated()):
        return kind(yaml, ch=channels, verbose=False)


def describes_layers(yaml: Any) -> bool:
    """Whether it is a dictionary with rows of layers, of which the head has at least one."""
    if not isinstance(yaml, dict) or not all(isinstance(yaml.get(part), list) for part in ("backbone", "head")):
        return False
    return bool(yaml["head"]) and all(
        isinstance(row, list) and len(row) == 4 and isinstance(row[2], str) and isinstance(row[3], list)
        for row in rows(yaml)
    )


def rows(yaml: dict[str, Any]) -> list[list[Any]]:
    """The layers that a yaml describes: from, number, name and arguments."""
    return [*yaml["backbone"], *yaml["head"]]


def fetching(yaml: dict[str, Any]) -> str | None:
    """The first layer in `yaml` that fetches when it is made: torchvision's weights, or a whole model from a file."""
    for row in rows(yaml):
        kind = vars(tasks).get(row[2])
        if isinstance(kind, type) and issubclass(kind, (TorchVision, tasks.BaseModel)):
            return row[2]
    return None


def check_numbers(yaml: dict[str, Any]) -> None:
    """Raises TooLarge where a number in `yaml` is larger than in any network in use."""
    if len(rows(yaml)) > ROWS or any(isinstance(row[1], int | float) and row[1] > REPEATS for row in rows(yaml)):
        raise TooLarge(f"it describes more than {ROWS} layers, or {REPEATS} repeats of one")
    for key, number in _numbers(yaml, ""):
        if not abs(number) <= (CLASSES if key == "nc" else NUMBER):
            raise TooLarge(f"it holds the number {number:g} as {key}, and none in use is larger than {NUMBER}")


def _numbers(value: Any, key: str) -> Iterator[tuple[str, float]]:
    if isinstance(value, int | float):
        yield key, value
    elif isinstance(value, dict):
        for inner in value:
            yield from _numbers(value[inner], str(inner))
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _numbers(item, key)


class _Allocated:
    """Counts what layers allocate, before they fill it."""

    def __init__(self):
        self.elements = 0

    def __call__(self, function: Callable, result: Any) -> None:
        if function in FACTORIES:
            self.elements += result.numel()
            if self.elements > ELEMENTS:
                raise TooLarge(f"it describes more than {ELEMENTS:,} parameters")
