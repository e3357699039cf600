"""A stage's training, and what it leaves in its folder: one checkpoint and its report."""

import json
from pathlib import Path
from shutil import rmtree
from typing import Protocol

from optimize.dataset import Dataset
from optimize.host.files import move
from optimize.store.apply import REPORT
from optimize.variant import Variant
from optimize.yolo.train import Training, finetune


class Settings(Protocol):
    """What every stage that trains has; the fields are those of `finetune`."""

    @property
    def data(self) -> Dataset: ...

    @property
    def epochs(self) -> int: ...

    @property
    def batch(self) -> int: ...

    @property
    def device(self) -> str | None: ...

    @property
    def seed(self) -> int: ...


def train(
    settings: Settings,
    variant: Variant,
    folder: Path,
    said: dict[str, object],
    *,
    teacher: Path | None = None,
    quantize: bool = False,
) -> Path:
    """The checkpoint that `finetune` makes of `variant`, as `folder`/recovered.pt with report.json beside it.

    Args:
        settings: the stage.
        variant: a checkpoint.
        folder: of the stage.
        said: what the report begins with, after the epochs.
        teacher, quantize: as in `finetune`.
    """
    training = finetune(
        variant.path,
        settings.data.yaml,
        folder,
        epochs=settings.epochs,
        imgsz=variant.imgsz,
        batch=settings.batch,
        device=settings.device,
        seed=settings.seed,
        teacher=teacher,
        quantize=quantize,
    )
    path = folder / "recovered.pt"
    move(training.path, path)
    rmtree(folder / "train")  # the optimizer's state is twice the size of the model
    (folder / REPORT).write_text(
        json.dumps({"epochs": settings.epochs} | said | _summary(training), indent=2), encoding="utf-8"
    )
    return path


def _summary(training: Training) -> dict[str, object]:
    return {
        "seconds": round(training.seconds, 1),
        "resumed": training.resumed,
        "schedule": training.schedule,
        "history": [
            {key.removeprefix("metrics/"): value for key, value in row.items() if not key.startswith(("lr/", "time"))}
            for row in training.history
        ],
    }
