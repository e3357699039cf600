"""Win accuracy back by training on: BatchNorm first, then the weights."""

import json
import time
from dataclasses import dataclass, replace
from pathlib import Path
from shutil import rmtree

from optimize.data.dataset import Dataset
from optimize.recover.bn import reestimate_checkpoint
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
        teacher: a checkpoint, usually the unpruned original, whose features the model learns to repeat; None for none.
    """

    data: Dataset
    epochs: int
    batch: int = 16
    device: str | None = None
    seed: int = 0
    bn_images: int = 256
    teacher: Path | None = None

    def __call__(self, variant: Variant, folder: Path) -> Variant:
        if "pruned" not in variant.tags:
            return variant
        began, start, path = time.perf_counter(), folder / "start.pt", folder / "recovered.pt"
        used = reestimate_checkpoint(variant.path, start, self.data, self.bn_images, variant.imgsz, self.seed)
        bn_seconds = time.perf_counter() - began
        report = {"method": "finetune", "epochs": self.epochs, "bn_images": used, "bn_seconds": round(bn_seconds, 1)}
        if self.epochs == 0:
            start.rename(path)
        else:
            training = finetune(
                start,
                self.data.yaml,
                folder,
                epochs=self.epochs,
                imgsz=variant.imgsz,
                batch=self.batch,
                device=self.device,
                seed=self.seed,
                teacher=self.teacher,
            )
            report |= _summary(training)
            training.path.rename(path)
            start.unlink()
            rmtree(folder / "train")  # the optimizer's state is twice the size of the model
        (folder / "report.json").write_text(json.dumps(report, indent=2))
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
