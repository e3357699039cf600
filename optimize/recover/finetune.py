"""Win accuracy back by training on: BatchNorm first, then the weights."""

import json
import time
from dataclasses import dataclass, replace
from pathlib import Path
from shutil import rmtree

from optimize.data.dataset import Dataset
from optimize.recover.bn import reestimate_checkpoint
from optimize.stage import REPORT
from optimize.variant import Variant
from optimize.yolo.train import Training, finetune


@dataclass(frozen=True)
class Finetune:
    """Stage: a pruned variant gets new BatchNorm statistics and is trained on; any other is returned as it is.

    Attributes:
        data: trained on its training split; the accuracy after each epoch is that on its validation split.
        epochs: the dial from which the schedule follows; 0 leaves it at BatchNorm.
        batch: pictures per step.
        device: as in ultralytics: `cpu`, `0`, `0,1` ...; None for the first GPU, else the CPU.
        seed: of the order and the augmentation of the pictures.
        bn_images: training pictures for the BatchNorm statistics.
    """

    data: Dataset
    epochs: int
    batch: int = 16
    device: str | None = None
    seed: int = 0
    bn_images: int = 256

    def __call__(self, variant: Variant, folder: Path) -> Variant:
        return train_on(self, variant, folder)


def train_on(settings: Finetune, variant: Variant, folder: Path, teacher: Path | None = None) -> Variant:
    """What `Finetune` does, with or without a teacher whose features the model learns to repeat."""
    if "pruned" not in variant.tags:
        return variant
    began, start, path = time.perf_counter(), folder / "start.pt", folder / "recovered.pt"
    used = reestimate_checkpoint(variant.path, start, settings.data, settings.bn_images, variant.imgsz, settings.seed)
    report = {
        "method": "distill" if teacher else "finetune",
        "epochs": settings.epochs,
        "bn_images": used,
        "bn_seconds": round(time.perf_counter() - began, 1),
    }
    if settings.epochs == 0:
        start.rename(path)
    else:
        training = finetune(
            start,
            settings.data.yaml,
            folder,
            epochs=settings.epochs,
            imgsz=variant.imgsz,
            batch=settings.batch,
            device=settings.device,
            seed=settings.seed,
            teacher=teacher,
        )
        report |= _summary(training)
        training.path.rename(path)
        start.unlink()
        rmtree(folder / "train")  # the optimizer's state is twice the size of the model
    (folder / REPORT).write_text(json.dumps(report, indent=2))
    return replace(variant, path=path)


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
