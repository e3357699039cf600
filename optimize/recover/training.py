"""Trains for a stage, and writes one checkpoint and the report into the stage's folder."""

from math import isfinite
from pathlib import Path
from shutil import rmtree
from typing import Literal, Protocol

from optimize.dataset import Dataset
from optimize.host.files import move
from optimize.store.apply import write_report
from optimize.variant import Variant
from optimize.work import Trained
from optimize.yolo.train import finetune


class Settings(Protocol):
    """The fields of every stage that trains, as in `finetune`."""

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
    kind: Literal["finetune", "qat"],
    settings: Settings,
    variant: Variant,
    folder: Path,
    *,
    cut: float = 0.0,
    teacher: Path | None = None,
    quantize: bool = False,
) -> Path:
    """Train `variant` by `finetune`, and return the checkpoint `folder`/recovered.pt; report.json lies beside it.

    Args:
        kind: name of the stage in the report.
        settings: the stage.
        variant: a checkpoint.
        folder: folder of the stage.
        cut, teacher, quantize: as in `finetune`.
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
        cut=cut,
        teacher=teacher,
        quantize=quantize,
    )
    path = folder / "recovered.pt"
    move(training.path, path)
    rmtree(folder / "train")  # the optimizer's state is twice the size of the model
    trained = Trained(
        stage=kind,
        epochs=settings.epochs,
        distilled=teacher is not None,
        seconds=round(training.seconds, 1),
        resumed=training.resumed,
        schedule=training.schedule,
        history=tuple(map(_epoch, training.history)),
    )
    write_report(trained, folder)
    return path


def _epoch(row: dict[str, float]) -> dict[str, float | None]:
    """The losses and accuracies in a row of ultralytics' results.csv."""
    metrics = {key: value for key, value in row.items() if not key.startswith(("lr/", "time"))}
    return {key.removeprefix("metrics/"): value if isfinite(value) else None for key, value in metrics.items()}
