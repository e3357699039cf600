"""How long each stage took in earlier runs, kept in the store, so that a later run can tell its own time beforehand."""

from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Annotated

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from optimize.inside import content
from optimize.store.held import WORK

NAME = "durations.jsonl"
MOST, LAST = 2**24, 50  # bytes of the file; runs that are looked at
Seconds = Annotated[float, Field(ge=0, lt=1e9, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0, lt=10**18)]


@dataclass(frozen=True)
class Spent:
    """What one stage took in one run: how often it was done, the seconds and the bytes of all of these together."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    times: Annotated[int, Field(ge=1, lt=10**9)]
    seconds: Seconds
    size: Count


@dataclass(frozen=True)
class Load:
    """What the time of a stage grows with.

    Attributes:
        flops: of one image through the original.
        train_images, choice_images, report_images: of the data set.
        epochs: of each training.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    flops: Count
    train_images: Count
    choice_images: Count
    report_images: Count
    epochs: Count

    def of(self, stage: str) -> int:
        """The work of `stage` in a unit of its own: FLOPs where it runs the network; 1 where it does not."""
        units = {
            "Scan": self.flops,
            "Prune": self.flops,
            "BatchNorm": self.flops,
            "Finetune": self.flops * self.train_images * self.epochs,
            "Qat": self.flops * self.train_images * self.epochs,
            "Int8": self.flops * self.choice_images,
            "validation": self.flops * self.report_images,
        }
        return max(1, units.get(stage, 1))


@dataclass(frozen=True)
class Durations:
    """What one run took.

    Attributes:
        machine: that it ran on, with its number of threads.
        load: what it worked on.
        stages: by name.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    machine: str
    load: Load
    stages: dict[str, Spent]


LINE = TypeAdapter(Durations)
INSIDE = "latency-table"  # made inside of Prune, and once for many of them


def record(store: Path, machine: str, load: Load, folder: Path) -> None:
    """Append to the store what the run in `folder` took."""
    stages: dict[str, Spent] = {}
    for line in (content(folder / WORK, MOST) or b"").decode("utf-8", "replace").splitlines():
        how, _, rest = line.partition(" ")
        if how == "made":
            stage, seconds, size, times = rest.rsplit(" ", 3)
            before = stages.get(stage, Spent(0, 0.0, 0))
            stages[stage] = Spent(before.times + int(times), before.seconds + float(seconds), before.size + int(size))
    if INSIDE in stages and "Prune" in stages:
        prune, table = stages["Prune"], stages[INSIDE]
        stages["Prune"] = Spent(prune.times, max(0.0, prune.seconds - table.seconds), prune.size)
    if stages:
        with (store / NAME).open("ab") as lines:
            lines.write(LINE.dump_json(Durations(machine, load, stages)) + b"\n")


def read(store: Path, machine: str) -> list[Durations]:
    """The last runs on `machine`; lines that are no such record, as in a shared store, are passed over."""
    found = []
    for line in (content(store / NAME, MOST) or b"").splitlines():
        try:
            one = LINE.validate_json(line)
        except ValidationError:
            continue
        if one.machine == machine:
            found.append(one)
    return found[-LAST:]


def expected(known: list[Durations], stage: str, load: Load) -> tuple[float, int] | None:
    """Seconds and bytes of doing `stage` once under `load`: the medians over these runs; None where none did it."""
    did = [(one.stages[stage], one.load.of(stage)) for one in known if stage in one.stages]
    if not did:
        return None
    seconds = median(spent.seconds / spent.times / work for spent, work in did) * load.of(stage)
    return seconds, round(median(spent.size / spent.times for spent, _ in did))
