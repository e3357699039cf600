"""`python -m optimize.init`: asks a newcomer five questions, and writes a yaml and the command that uses it."""

import os
import sys
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from collections.abc import Callable
from functools import partial
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from rich.prompt import Prompt
from rich.status import Status
from rich.text import Text

from optimize.errors import InputError, OptimizeError
from optimize.init import experiment
from optimize.progress import CONSOLE
from optimize.sentences import one_sentence

if TYPE_CHECKING:
    from optimize.init.checks import Model

HELP = """Ask for model, data, where the model will run, limits, and how long the work may take; check each answer as a
run would; write a yaml and print the command that uses it. Nothing is run, and no file is overwritten.

The yaml is mine/experiment/NAME.yaml in the current folder; paths in it are absolute, so the command works from any
folder. Without a terminal give the keys to `python -m optimize`; docs/setup.md explains the usual ones."""
MINUTES = "60"  # that a run may take, by default

Answer = TypeVar("Answer")


def main() -> None:
    """Ask, write the yaml, and print its command last.

    Raises:
        OptimizeError: stdin is no terminal, or the answers can't be combined.
    """
    parser = ArgumentParser("python -m optimize.init", description=HELP, formatter_class=RawDescriptionHelpFormatter)
    parser.parse_args()
    if not (sys.stdin and sys.stdin.isatty()):
        raise InputError(
            "python -m optimize.init asks questions, and stdin is not a terminal; give the keys to `python -m "
            "optimize`, e.g. `python -m optimize model=best.pt data=my.yaml prune=0.3 quant=int8` (docs/setup.md)."
        )
    try:
        keys, file = _asked()
        experiment.write(keys, file)
    except (EOFError, KeyboardInterrupt):
        print("\nstopped: no yaml was written.", file=sys.stderr)
        raise SystemExit(130) from None
    print(f"{file} is written. To see what a run will do, add plan=true; to run it from any folder:")
    print(f"\n    {experiment.command_of(file)}\n")
    print("The same without the file:")
    print(f"\n    {experiment.plain_command(keys)}\n")


def _asked() -> tuple[dict[str, Any], Path]:
    """The keys of a run that was checked, and the file to write them into."""
    model = _ask("Model: a .pt file, a name of ultralytics, or `digits`", "digits", _model)
    from optimize.init import checks
    from optimize.init.budget import choose_work

    data, first = _ask(
        "Data: a data.yaml, for classification a folder, or a name of ultralytics",
        "digits" if model.written == "digits" else "",
        lambda text: checks.check_data_answer(model, text),
    )
    CONSOLE.print(f"Runtimes: {', '.join(checks.all_runtimes())}. Devices: {', '.join(checks.all_devices())}.")
    place = _ask(
        "Where will it run? Runtimes of this machine, or a device",
        ",".join(checks.usable_defaults()),
        lambda text: checks.check_place_answer(model, text),
    )
    keys = {"model": model.written, "data": data, **place, **_limits("device_profile" in place)}
    minutes = _ask("Minutes that the run may take", MINUTES, _minutes)
    with _checking():
        work, reason = choose_work(minutes, keys, first)
        keys |= work
        checks.plan_of(keys)
    CONSOLE.print(reason)
    return keys, _ask("Name of the yaml", experiment.free_name(model.written), experiment.file_of)


def _model(text: str) -> "Model":
    from optimize.init import checks  # imported here, since torch takes seconds that the question should not wait for

    return checks.check_model_answer(text)


def _limits(on_device: bool) -> dict[str, Any]:
    """`limits`, as far as any were given."""
    from optimize.init.checks import check_limit

    names = {"latency_ms": "Milliseconds that one image may take on this machine"}
    if on_device:
        CONSOLE.print(
            "Milliseconds are limited on this machine alone, so none are asked for; `python -m optimize.bound` says "
            "what the device can reach, and a bundle measures there (docs/bundle.md)."
        )
        names = {}
    names["max_drop"] = "Percentage points of accuracy that may be lost"
    given = {name: _ask(f"{text}; empty: no limit", "", partial(check_limit, name)) for name, text in names.items()}
    limits = {name: value for name, value in given.items() if value is not None}
    return {"limits": limits} if limits else {}


def _minutes(text: str) -> float:
    try:
        minutes = float(text)
    except ValueError:
        minutes = 0.0
    if not 0 < minutes < inf:
        raise InputError(f"{text} is not allowed; give a number of minutes, more than 0, e.g. {MINUTES}.")
    return minutes


def _ask(question: str, default: str, check: Callable[[str], Answer]) -> Answer:
    """What `check` makes of an answer; one that it refuses is asked for again, with its sentence."""
    while True:
        text = Prompt.ask(Text(question), console=CONSOLE, default=default, show_default=bool(default))
        try:
            with _checking():
                return check(os.path.expanduser(text.strip()))
        except OptimizeError as error:
            CONSOLE.print(str(error))


def _checking() -> Status:
    return CONSOLE.status("checking ...")


if __name__ == "__main__":
    with one_sentence():
        main()
