"""Checks each answer as a run would. It imports torch, so it is imported after the first question was asked."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from optimize import run
from optimize.checks import check_model
from optimize.compose import composed, words
from optimize.config import plain, typed
from optimize.device import device
from optimize.errors import InputError
from optimize.keys import choices
from optimize.limits import Limits
from optimize.plan import Plan
from optimize.prepare import runtimes
from optimize.remarks import missing
from optimize.yolo.checkpoint import task, trusted
from optimize.yolo.tasks import BY_NAME
from optimize.yolo.usable import open_model

DIGITS = "digits"


@dataclass(frozen=True)
class Model:
    """A model that can be used.

    Attributes:
        written: what to write for it: an absolute path, or `digits`.
        bundles: whether a bundle for a device can be made of it.
    """

    written: str
    bundles: bool


def check_model_answer(given: str) -> Model:
    """Raises InputError where `given` is no model that a run can take."""
    with trusted(False):
        path, model = open_model(given)
    check_model(f"model={given}", model)
    written = given if given == DIGITS else os.path.abspath(path)
    return Model(written, BY_NAME[task(model)].bundle_head is not None)


def check_data_answer(model: Model, given: str) -> tuple[str, Plan]:
    """What to write for the data, an absolute path or the name that was given; and the plan of a run with it.

    Raises:
        InputError: it is no data set that a run of `model` can take.
    """
    if not given:
        raise InputError("data is missing; give a data.yaml, or for classification a folder.")
    written = os.path.abspath(given) if given != DIGITS and os.path.exists(given) else given
    return written, plan_of({"model": model.written, "data": written})


def plan_of(keys: Mapping[str, Any]) -> Plan:
    """The plan of the run that `keys` describe, all of it checked.

    Raises:
        OptimizeError: it could not be run.
    """
    return run.check(composed(words(keys)), []).plan


def all_runtimes() -> list[str]:
    return [choice.name for choice in choices("runtime")]


def all_devices() -> list[str]:
    return device.known()


def usable_defaults() -> list[str]:
    """The runtimes of a run that names none, as far as they can be used on this machine."""
    default = list(composed([]).runtime)
    reasons = _why_not(default)
    return [name for name in default if name not in reasons]


def _why_not(names: Sequence[str]) -> dict[str, str]:
    """The reason for each runtime that can't be used on this machine."""
    node = composed(words({"runtime": list(names)})).runtime
    return missing(runtimes({"runtime": plain(node)}))


def check_place_answer(model: Model, given: str) -> dict[str, Any]:
    """The keys for runtimes of this machine, or for a device.

    Raises:
        InputError: `given` is neither, or a runtime can't be used here.
    """
    names = list(dict.fromkeys(name.strip() for name in given.split(",")))
    if set(names) <= set(all_runtimes()):
        for name, reason in _why_not(names).items():
            raise InputError(f"{name} can't be used on this machine: {reason}; give another runtime, or a device.")
        return {"runtime": names}
    if given not in device.known() and not os.path.exists(given):
        raise InputError(
            f"{given} is neither a runtime nor a device; give runtimes of {', '.join(all_runtimes())}, a device of "
            f"{', '.join(device.known())}, or the path of a device's yaml (docs/devices.md)."
        )
    device.load(given)
    written = given if given in device.known() else os.path.abspath(given)
    return {"device_profile": written} | ({"bundle": True} if model.bundles else {})


def check_limit(name: str, given: str) -> float | None:
    """The limit called `name`; None where nothing was given.

    Raises:
        InputError: it is no number, or not one that is allowed.
    """
    value: float | None = getattr(typed(Limits, {name: given or None}, "limits"), name)
    return int(value) if value is not None and value.is_integer() else value
