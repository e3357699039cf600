"""`optimize.optimize`: one run from Python, with the keys of the command line."""

import os
from collections.abc import Mapping, Sequence
from inspect import Parameter, Signature, cleandoc, signature
from typing import TYPE_CHECKING, Any, TypedDict, Unpack, get_type_hints

import yaml

from optimize import yolo  # noqa: F401  sets the threads of training, also where the program imports ultralytics next
from optimize.keys import listed, root

if TYPE_CHECKING:
    from ultralytics import YOLO

    from optimize.run import Run

WIDTH = 100  # characters of a line of help()

Text = str | os.PathLike[str]
Choice = str | Mapping[str, Any]  # of a group: its name, or settings of the default choice
Choices = Sequence[str] | Mapping[str, Any]


class Keys(TypedDict, total=False):
    """The keys of the command line except `model`; conf/config.yaml explains each, and has the defaults."""

    data: Text
    imgsz: int | Sequence[int] | None
    prune: float | None
    selection: str
    val_images: int | None
    epochs: int
    batch: int
    device: str | int | None
    seed: int
    threads: int | None
    rounds: int
    rivals: Sequence[Text] | str
    train_rivals: bool
    limits: Mapping[str, float | None] | None
    metric: str
    device_profile: Text | None
    batches: Sequence[int]
    streams: Sequence[int]
    bundle: bool
    bundle_input: str
    card: bool
    frame: str | None
    nms: bool | None
    trust: bool
    store: Text
    tracking: str
    overwrite: bool
    plan: bool
    pruner: Choice
    recover: Choices
    quant: Choice
    runtime: Choices
    experiment: str | None
    hydra: Mapping[str, Mapping[str, Text]]


def optimize(model: "Text | YOLO" = "digits", **keys: Unpack[Keys]) -> "Run":
    """Make a YOLO model cheaper to run, and measure the effect, as `python -m optimize` does.

    It returns the finished run::

        run = optimize("best.pt", data="my.yaml", prune=0.3, quant="int8", limits={"latency_ms": 20})
        run.best.path, run.report_path
        print(run.table())

    Every key of the command line is a keyword of the same name; files and figures are those of the command. Keys with a
    dot are given as a dict, lists as lists, null as None. `pruner="lamp"` chooses, `pruner={"target": "latency"}` sets
    a key of the default choice, and `pruner="lamp", **{"pruner.target": "latency"}` does both. A sweep, a search and
    `plan=True` are for the command line.

    A missed limit and a failed variant raise nothing, since the report, which may have taken hours, is whole: they are
    in `run.missed` and `run.failed`, and `run.check()` raises them.

    The log goes into the run's folder, and to stderr where the program has set up no logging. On Ctrl-C finished work
    is kept, and the same call continues from there. Processes that it starts do not run the calling script again, so
    that needs no `if __name__ == "__main__":`.

    Args:
        model: a path, a name of ultralytics, `digits`, or a loaded `ultralytics.YOLO`, whose weights are written to the
            store in float32 and read from there; the object is left as it is.
        keys: those of the command line, by name.

    Raises:
        InputError: an input can't be used; nothing was made.
        OptimizeError: pruning can't do what was asked, or the original can't be measured.
    """
    from optimize.call import call  # it imports Hydra, torch and ultralytics, which takes seconds

    return call(model, keys, Keys.__annotations__)


def _signature() -> Signature:
    """That of `optimize`, with every key and its default, which completion and help() show."""
    model, *_ = signature(optimize).parameters.values()
    keys = [
        Parameter(key, Parameter.KEYWORD_ONLY, default=_default(key), annotation=kind)
        for key, kind in get_type_hints(Keys).items()
    ]
    return Signature([model, *keys], return_annotation="Run")


def _default(key: str) -> Any:
    written = root()[key].default if key in root() else ""
    return yaml.safe_load(written) if written else {}


def _explained() -> str:
    keys = (key for key in root().values() if key.name != "hydra.sweep.dir")
    return listed(((key.name, key.meaning) for key in keys), WIDTH)


optimize.__signature__ = _signature()  # type: ignore[attr-defined]
optimize.__doc__ = f"{cleandoc(optimize.__doc__ or '')}\n\nKeys:\n{_explained()}\n"
