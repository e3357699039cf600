"""A training that was killed and goes on ends with the weights of one that was not, bit for bit.

ultralytics resumes from last.pt, where the moving average is float16, the optimizer's state too, and the model that
was trained is missing. Here every epoch leaves the whole state, in its own precision, and begins with random numbers
that follow from the seed and its number alone, so that it does not matter which process began it.
"""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from ultralytics.utils import RANK
from ultralytics.utils.torch_utils import init_seeds, unwrap_model

from optimize.host.files import move
from optimize.yolo import stranger

STATE = "state.pt"


def epochs_done(folder: Path) -> int:
    """Complete epochs of the training whose weights lie in `folder`."""
    state = folder / STATE
    return stranger.load(state, mmap=True)["epochs"] if state.is_file() else 0


def keep(trainer) -> None:
    """Write the state after an epoch, whole or not at all; whatever else the epoch writes must be there before."""
    state = {
        "epochs": trainer.epoch + 1,
        "model": _own(unwrap_model(trainer.model)),
        "ema": _own(trainer.ema.ema),
        "updates": trainer.ema.updates,
        "optimizer": trainer.optimizer.state_dict(),
        "scaler": trainer.scaler.state_dict(),
        "results": trainer.csv.read_text(encoding="utf-8"),
    }
    partial = trainer.wdir / "state.partial"
    torch.save(state, partial)
    move(partial, trainer.wdir / STATE)


def restore(trainer) -> None:
    """Put a trainer that was set up, as for its first epoch, where the last complete epoch left off, if any did.

    results.csv is restored with it: a kill may have come after an epoch's line and before its state.
    """
    if not epochs_done(trainer.wdir):
        return
    state = stranger.load(trainer.wdir / STATE, map_location="cpu")
    _fill(unwrap_model(trainer.model), state["model"])
    _fill(trainer.ema.ema, state["ema"])
    trainer.ema.updates = state["updates"]
    trainer.optimizer.load_state_dict(state["optimizer"])
    trainer.scaler.load_state_dict(state["scaler"])
    trainer.start_epoch = state["epochs"]
    if RANK in {-1, 0}:
        trainer.csv.write_text(state["results"], encoding="utf-8")


def begin_epoch(trainer) -> None:
    """Make an epoch's random numbers, and what its data loader knows, follow from the seed and its number.

    The loader would carry the random state of its workers from epoch to epoch, and images that it has seen, which
    augmentation may have changed in place.
    """
    seeds = np.random.SeedSequence((trainer.args.seed, trainer.epoch, RANK + 1)).generate_state(2)
    init_seeds(int(seeds[0]), deterministic=trainer.args.deterministic)
    loader = trainer.train_loader
    loader.reset()
    loader.generator.manual_seed(int(seeds[1]))
    buffer = getattr(loader.dataset, "buffer", [])  # a classification data set has none
    while buffer:
        loader.dataset.ims[buffer.pop()] = None


def _own(model: nn.Module) -> dict[str, Tensor]:
    """Everything but a teacher, which does not change."""
    return {name: tensor for name, tensor in model.state_dict().items() if not name.startswith("teacher_model.")}


def _fill(model: nn.Module, state: dict[str, Tensor]) -> None:
    model.load_state_dict(model.state_dict() | state)
