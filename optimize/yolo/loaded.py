"""Writes the model of a loaded `ultralytics.YOLO` as a checkpoint into the store, so that a run can read it."""

from copy import deepcopy
from pathlib import Path
from tempfile import TemporaryDirectory

from torch import nn
from ultralytics.engine.model import Model
from ultralytics.nn.tasks import BaseModel

from optimize.errors import InputError
from optimize.host.files import move
from optimize.store.apply import digest
from optimize.store.contents import MODEL, begin_store, check_store
from optimize.store.held import held
from optimize.yolo.checkpoint import save


def keep(model: object, store: Path) -> Path:
    """Write the weights of `model`, an `ultralytics.YOLO`, in float32; equal weights are written once.

    Raises:
        InputError: `model` is no such object, or has no network that can be pruned; or `store` can't be used.
    """
    if not isinstance(model, Model):
        raise InputError(f"model is of the type {type(model).__name__}; give a path, a name or an ultralytics.YOLO.")
    network = model.model
    if not isinstance(network, BaseModel):
        raise InputError(
            f"model is a YOLO object of {model.model_name}, an exported file; give one of a .pt checkpoint."
        )
    if not any(isinstance(module, nn.BatchNorm2d) for module in network.modules()):
        raise InputError(
            "model is a YOLO object whose layers are fused (fuse()), so it can't be pruned or trained; load it again, "
            "YOLO(path)."
        )
    check_store(store)
    begin_store(store)
    with TemporaryDirectory(dir=store, prefix=".") as folder:
        made = Path(folder, "model.pt")  # always this name, which torch writes into the file
        save(deepcopy(network).cpu(), made)
        name = digest(made)[:16]
        path = store / f"{name}{MODEL}"
        with held(store, name):
            if not path.exists():
                move(made, path)
    return path
