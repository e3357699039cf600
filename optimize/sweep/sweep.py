"""A whole sweep, as its folder tells at any moment."""

import json
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from platform import node
from time import time
from typing import TYPE_CHECKING, Annotated

from pydantic import Field, TypeAdapter, ValidationError

from optimize.errors import InputError
from optimize.host.files import write_text
from optimize.inside import content
from optimize.store import manifest
from optimize.store.held import WORK
from optimize.sweep import job
from optimize.sweep.job import RESULTS, Job

if TYPE_CHECKING:  # with it comes torch, which takes seconds that the start of a sweep need not wait for
    from optimize.result import Report

FILE, LOCK = "sweep.json", ".lock"
MOST = 2**26  # bytes of a file that tells of a sweep


@dataclass(frozen=True)
class Asked:
    """The content of sweep.json, as in `Sweep`; `cwd` is where the command was given."""

    command: str
    overrides: tuple[str, ...]
    total: Annotated[int, Field(ge=0, le=10**9)] | None
    began: job.Seconds
    cwd: str | None = None


ASKED = TypeAdapter(Asked)


@dataclass(frozen=True)
class Sweep:
    """A sweep: its command, its progress, and its results so far.

    Attributes:
        folder: of the sweep; job 3 lies in its `3`.
        command: repeats the sweep in this folder, and so goes on with it.
        overrides: as they were given, each with all its values, e.g. `("prune=0.1,0.3", "quant=int8")`.
        total: how many jobs there are in all; None where a search decides.
        began: in seconds since 1970.
        jobs: those that have begun, by number.
        reports: by number, what each job that was built found; its rows have no latency until all were timed.
        made, found: by name of the stage (and `validation`), how often all jobs together made something, and how often
            it was in the store already.
    """

    folder: Path
    command: str
    overrides: tuple[str, ...]
    total: int | None
    began: float
    jobs: tuple[Job, ...] = ()
    reports: "dict[int, Report]" = field(default_factory=dict)
    made: Counter[str] = field(default_factory=Counter)
    found: Counter[str] = field(default_factory=Counter)

    @property
    def timed(self) -> bool:
        """All that was built has been timed."""
        return bool(self.reports) and all(report.noise is not None for report in self.reports.values())


def begin(folder: Path, command: str, overrides: Sequence[str], total: int | None) -> Sweep:
    """Start a sweep in `folder`, or go on with the one that lies there.

    Raises:
        InputError: what lies there is another sweep.
    """
    known = read_request(folder)
    if known and known.overrides != tuple(overrides):
        raise InputError(
            f"hydra.sweep.dir={folder} holds the sweep `{known.command}`; go on with that, or give another folder."
        )
    sweep = replace(known, total=total) if known else Sweep(folder, command, tuple(overrides), total, time())
    asked = {key: getattr(sweep, key) for key in ("command", "overrides", "total", "began")}
    manifest.begin(folder, manifest.SWEEP)
    write_text(folder / FILE, json.dumps(asked | {"cwd": str(Path.cwd())}))
    return sweep


def withdraw(folder: Path, new: Sequence[Path]) -> None:
    """Undo `begin` if no job has begun.

    Args:
        folder: of the sweep.
        new: it and those above it that did not exist, from the inside out.
    """
    for name in (FILE, LOCK, "multirun.yaml", manifest.NAME):  # the third is Hydra's
        (folder / name).unlink(missing_ok=True)
    with suppress(OSError):  # not empty: somebody else's
        for path in new:
            path.rmdir()


def home(folder: Path) -> Path:
    """Where the command of the sweep in `folder` was given, which relative paths start from on every machine.

    Raises:
        InputError: this machine does not see one of the two.
    """
    known = _asked(folder)
    cwd = Path(known.cwd) if known and known.cwd else None
    if cwd is None or not cwd.is_dir():
        raise InputError(
            f"{node()} does not see {cwd or folder}; run a sweep over several machines in a folder that all of them "
            "share under the same path."
        )
    return cwd


def read(folder: Path) -> Sweep:
    """The sweep in `folder` as it is now.

    Raises:
        InputError: there is none.
    """
    from optimize.report import results

    sweep = read_request(folder)
    if sweep is None:
        raise InputError(f"{folder} holds no {FILE}; give the folder of a sweep, e.g. runs/sweep_2026-11-22_12-00-00.")
    known = jobs(folder)
    reports = {one.number: results.read(folder / str(one.number) / RESULTS) for one in known if one.state == job.BUILT}
    made, found = _work(folder)
    return replace(sweep, jobs=known, reports=reports, made=made, found=found)


def jobs(folder: Path) -> tuple[Job, ...]:
    """Those that have begun, by number.

    Raises:
        InputError: a folder holds no job of ours, or another one's.
    """
    known = {inside: job.read(inside) for inside in folder.iterdir() if inside.name.isdigit()}
    begun = {inside: one for inside, one in known.items() if one}
    if wrong := next((inside for inside, one in begun.items() if str(one.number) != inside.name), None):
        raise InputError(f"{wrong} holds another job; delete that folder, and the job is done again.")
    return tuple(sorted(begun.values(), key=lambda one: one.number))


def read_request(folder: Path) -> Sweep | None:
    """What was asked for of the sweep in `folder`; None where there is none."""
    known = _asked(folder)
    if known is None:
        return None
    return Sweep(folder, known.command, known.overrides, known.total, known.began)


def _asked(folder: Path) -> Asked | None:
    """What sweep.json in `folder` says; None where there is none.

    Raises:
        InputError: it is none of ours.
    """
    file = folder / FILE
    if not file.is_file():
        return None
    try:
        return ASKED.validate_json(content(file, MOST) or b"")
    except ValidationError as error:
        raise InputError(f"{file} is no {FILE} of ours; give the folder of a sweep.") from error


def _work(folder: Path) -> tuple[Counter[str], Counter[str]]:
    both: dict[str, Counter[str]] = {"made": Counter(), "found": Counter()}
    for file in folder.glob(f"*/{WORK}"):
        for line in (content(file, MOST) or b"").decode("utf-8", "replace").splitlines():
            how, _, rest = line.partition(" ")
            if how in both:
                both[how][rest.partition(" ")[0]] += 1
    return both["made"], both["found"]
