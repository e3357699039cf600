"""The rows of `milliseconds.py`, and their file."""

import csv
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path


@dataclass(frozen=True)
class Case:
    """What is asked for.

    Attributes:
        data, model: names.
        deployment: runtime and precision.
        asked: share of the original's milliseconds in it that is to go.
        imgsz: side of the input.
        epochs: of every training.
        depth: whether blocks may go, too.
        seed: of everything.
        every_precision: whether the files of each model in the other precisions are measured, too.
    """

    data: str
    model: str
    deployment: str
    asked: float
    imgsz: int = 320
    epochs: int = 10
    depth: bool = True
    seed: int = 0
    every_precision: bool = False

    @property
    def runtime(self) -> str:
        return self.deployment.partition("-")[0]

    @property
    def precision(self) -> str:
        return self.deployment.partition("-")[2]

    def __str__(self) -> str:
        special = [f"{self.imgsz} px"] * (self.imgsz != 320) + ["widths alone"] * (not self.depth)
        special += [f"seed {self.seed}"] * bool(self.seed) + [f"{self.epochs} epochs"] * (self.epochs != 10)
        special += ["every precision"] * self.every_precision
        return ", ".join((f"{self.model} {self.data} {self.deployment} -{self.asked:.0%}", *special))


@dataclass(frozen=True)
class Row:
    """One file of a case, measured.

    Attributes:
        case: it belongs to.
        cpu, threads: where it was timed.
        what: `original`, `latency`, `flops`, `smaller`, `smaller trained` or `ultralytics`.
        size: side of its input.
        precision: of the file.
        flops: of one image.
        share: of the original's milliseconds, in the case's runtime and precision, that it takes.
        milliseconds: of the original in this timing.
        noise: how far the times of the original's processes lay from their mean at most, as a share.
        predicted: the share by the latency table; None where it predicts none.
        score, folds: accuracy of the file, see `measure.accuracy`.
        fp32, fp32_folds: the same of the float32 file in this runtime; None and empty for `ultralytics`.
        train_s: seconds of its training, with whatever else ran.
    """

    case: Case
    cpu: str
    threads: int
    what: str
    size: int
    precision: str
    flops: int
    share: float
    milliseconds: float
    noise: float
    predicted: float | None
    score: float
    folds: tuple[float, ...]
    fp32: float | None
    fp32_folds: tuple[float, ...]
    train_s: float


HEAD = [*(one.name for one in fields(Case)), *(one.name for one in fields(Row)[1:])]
TEXTS = "data", "model", "deployment", "cpu", "what", "precision"


def write(path: Path, rows: Sequence[Row]) -> None:
    """Append rows to the file."""
    new = not path.exists()
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, HEAD, lineterminator="\n")
        if new:
            writer.writeheader()
        for row in rows:
            cells = {**asdict(row.case), **asdict(row)}
            del cells["case"]
            writer.writerow({key: value if key in TEXTS else json.dumps(value) for key, value in cells.items()})


def read(path: Path) -> list[Row]:
    """All rows of the file; none where it does not exist."""
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return [_row(cells) for cells in csv.DictReader(file)]


def _row(cells: dict[str, str]) -> Row:
    values = {key: cell if key in TEXTS else json.loads(cell) for key, cell in cells.items()}
    values = {key: tuple(value) if isinstance(value, list) else value for key, value in values.items()}
    case = Case(**{one.name: values.pop(one.name) for one in fields(Case)})
    return Row(case, **values)
