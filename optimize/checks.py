"""Checks before any work starts; each failure is one sentence."""

import shutil
from collections.abc import Sequence
from itertools import zip_longest
from pathlib import Path

from torch import nn

from optimize.dataset import Dataset
from optimize.errors import InputError
from optimize.limits import Limits
from optimize.runtime.session import Runtime
from optimize.yolo.checkpoint import channels, classes, keypoints, names, task
from optimize.yolo.dataset import resolve
from optimize.yolo.tasks import BY_NAME
from optimize.yolo.two_heads import has_two_heads

SHOWN = 3  # classes that a sentence lists
STEPS_KEPT = 40  # a run keeps about this many files of the checkpoint's size, optimizer states and exports included
RIVALS_KEPT = 15  # the same for a rival, which is only exported


def check_room(store: Path, checkpoint: Path, others: list[Path]) -> None:
    existing = next(p for p in (store.absolute(), *store.absolute().parents) if p.is_dir())
    needed = STEPS_KEPT * checkpoint.stat().st_size + RIVALS_KEPT * sum(rival.stat().st_size for rival in others)
    free = shutil.disk_usage(existing).free
    if free < needed:
        raise InputError(
            f"the disk of {existing} has {free / 1e6:.0f} MB free, a run with this model needs about "
            f"{needed / 1e6:.0f} MB; free some space or run in another folder."
        )


def check_model(given: str, model: nn.Module) -> None:
    if task(model) not in BY_NAME:
        raise InputError(f"{given} is a {task(model)} model; allowed are {', '.join(BY_NAME)}.")
    if channels(model) != 3:
        raise InputError(
            f"{given} takes images of {channels(model)} channels; only models of 3 (RGB) are supported, "
            "so train one on the same images without `channels` in the data.yaml."
        )
    if len(names(model)) < classes(model):
        raise InputError(
            f"{given} has {len(names(model))} names for {classes(model)} classes, so what it finds can't be named; set "
            "`names` of the model in the checkpoint to all of them."
        )


def check_fit(given: str, model: nn.Module, data: Dataset, called: str, fix: str) -> None:
    if names(model) != data.names:
        raise InputError(
            f"{given} has the classes {_short(names(model))}, data={called} has {_short(data.names)}"
            f"{_first_difference(names(model), data.names)}; give {fix.format('classes')}."
        )
    if keypoints(model) != data.keypoints:
        raise InputError(
            f"{given} has kpt_shape {list(keypoints(model) or ())}, data={called} has "
            f"{list(data.keypoints or ())}; give {fix.format('keypoints')}."
        )


def check_batches(batches: Sequence[int], runtimes: Sequence[Runtime]) -> None:
    """Check that a runtime takes several images in a call, where that is asked for.

    Raises:
        InputError: none does.
    """
    if batches and not any(runtime.batching for runtime in runtimes):
        raise InputError(
            f"batches=[{','.join(map(str, batches))}] is for onnxruntime and openvino; none of "
            f"runtime=[{','.join(runtime.info.name for runtime in runtimes)}] is one; name one, or leave batches out."
        )


def check_frame(frame: str | None, limits: Limits, given: str, task: str) -> None:
    """Check that whole frames are timed of models of `task`, where that is asked for; `given` names the model.

    Raises:
        InputError: they are not.
    """
    asked = [word for word, value in (("frame", frame), ("limits.frame_ms", limits.frame_ms)) if value is not None]
    if asked and BY_NAME[task].bundle_head is None:
        allowed = " and ".join(known.name for known in BY_NAME.values() if known.bundle_head)
        raise InputError(
            f"{asked[0]} is for {allowed} models, whose whole frames are timed, and {given} is a {task} model; leave "
            f"{asked[0]} out."
        )


def check_heads(nms: bool | None, given: str, model: nn.Module) -> None:
    """Check that a model has two heads where the one that needs no NMS is asked for; `given` names the model.

    Raises:
        InputError: it has one.
    """
    if nms is False and not has_two_heads(model):
        raise InputError(
            f"nms=false is for models with two heads, as YOLO10 and YOLO26, of which one needs no NMS; {given} has one "
            "head; leave nms out."
        )


def check_unchanged(data: Dataset) -> None:
    """Check that the data set did not change during the run, since a report is about one data set.

    The test split counts where the report is of it.

    Raises:
        InputError: its content differs from that at the start.
    """
    fix = "leave it as it is during a run, and start the command again"
    try:
        now = resolve(str(data.yaml), data.task, data.single_cls, bool(data.test))
    except InputError as error:
        raise InputError(f"the data set {data.yaml} changed during the run: {error} So {fix}.") from error
    pairs = (data.fingerprint, now.fingerprint), (data.test_fingerprint, now.test_fingerprint)
    for before, after in pairs:
        if before != after:
            raise InputError(
                f"the data set {data.yaml} changed during the run (fingerprint {before} at the start, {after} at "
                f"the end), so there is no report; {fix}."
            )


def _first_difference(ours: tuple[str, ...], theirs: tuple[str, ...]) -> str:
    """Names the first difference of two lists, where it lies beyond the classes that `_short` shows."""
    i, pair = next((i, pair) for i, pair in enumerate(zip_longest(ours, theirs)) if pair[0] != pair[1])
    if i < SHOWN:
        return ""
    first, second = ("nothing" if name is None else f"`{name}`" for name in pair)
    return f"; the first that differs is class {i}, {first} and {second}"


def _short(classes: tuple[str, ...]) -> str:
    return f"{len(classes)}: {', '.join(classes[:SHOWN])}{', ...' if len(classes) > SHOWN else ''}"
