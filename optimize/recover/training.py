"""What a stage that trains leaves in its folder: one checkpoint and its report."""

import json
from pathlib import Path
from shutil import rmtree

from optimize.stage import REPORT
from optimize.yolo.train import Training


def keep(training: Training, folder: Path, **said: object) -> Path:
    """The trained checkpoint as `folder`/recovered.pt, with report.json beside it, which begins with `said`."""
    path = training.path.rename(folder / "recovered.pt")
    rmtree(folder / "train")  # the optimizer's state is twice the size of the model
    (folder / REPORT).write_text(json.dumps(said | _summary(training), indent=2))
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
