"""The widths of a network: those that its yaml describes, and those that it has after pruning.

Stock training builds the network anew from the yaml inside the checkpoint and copies only the tensors whose shapes
still fit, so a pruned network would be full width again, and nothing would say so. Rows of a yaml can't describe the
widths inside a pruned block. So the yaml of a pruned checkpoint can't be built: the first block's name is the sentence
that ultralytics then raises as a KeyError, in every way to train (`YOLO(...).train()`, `yolo train`, `resume`, workers
of several GPUs). Nothing else that ultralytics does with a checkpoint builds its yaml.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy

import torch
from torch import nn
from ultralytics.nn.tasks import BaseModel
from ultralytics.utils import LOGGER

from optimize.errors import InputError, MeasurementError, described
from optimize.yolo.built import build
from optimize.yolo.claims import BEFORE

# ultralytics takes a name with a "nn." or "torchvision.ops." in it for one of torch's.
STOP = (
    "this checkpoint was pruned, and stock training would build its network anew at full width; train it with its "
    "widths kept, by yolo-optimize: `python -m optimize.train model=PRUNED.pt data=YOUR.yaml epochs=50`, or `from "
    "optimize.train import trainer` and YOLO(...).train(trainer=trainer, ...)"
)


def stop_stock_training(model: BaseModel) -> None:
    """Give a pruned `model`, in place, a yaml that can't be built; every checkpoint saved of it from now on has it."""
    if BEFORE in model.yaml:
        return
    marked = deepcopy(model.yaml)
    marked.pop("activation", None)  # ultralytics would set it for the whole process, and not back
    first = marked["backbone"][0]
    marked["backbone"][0] = [*first[:2], STOP, *first[3:]]
    model.yaml = marked | {BEFORE: model.yaml}


def set_classes_of_yaml(model: BaseModel, classes: int) -> None:
    """Write the number of classes into the yaml of `model`, in place."""
    for yaml in (model.yaml, model.yaml.get(BEFORE, {})):
        yaml["nc"] = classes


def rebuilt(model: BaseModel) -> BaseModel:
    """What stock training would make of `model` on data of the same classes. Draws no random number of the process.

    Raises:
        InputError: the yaml inside names what can't be built here.
    """
    yaml = deepcopy(model.yaml.get(BEFORE, model.yaml))
    try:
        with torch.random.fork_rng(devices=[]), _silent():
            new = build(type(model), yaml, yaml.get("channels", 3))
    except Exception as error:  # an unknown block, an activation that is code: ultralytics raises anything here
        reason = described(error).replace("ERROR ❌️ ", "")
        raise InputError(f"the yaml inside the checkpoint can't be built ({reason}).") from error
    new.load(model, verbose=False)  # it takes the width of the classes' branch from `model`
    return new


def parameters_of_yaml(model: BaseModel) -> tuple[int, int]:
    """Parameters that `model` has, and that stock training would give it; fewer means it was pruned before.

    Raises:
        InputError: the yaml inside names what can't be built here.
    """
    stock = rebuilt(model)
    return sum(p.numel() for p in model.parameters()), sum(p.numel() for p in stock.parameters())


def is_pruned(model: BaseModel) -> bool | None:
    """Whether stock training would change the shapes of `model`; None where its yaml can't be built here."""
    if BEFORE in model.yaml:
        return True
    try:
        return _shapes(model) != _shapes(rebuilt(model))
    except InputError:
        return None


def check_shapes(start: nn.Module, trained: nn.Module) -> None:
    """Raises MeasurementError where a training changed a shape."""
    before, after = _shapes(start), _shapes(trained)
    changed = sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))
    if changed:
        raise MeasurementError(
            f"training changed {changed[0]} from {before.get(changed[0])} to {after.get(changed[0])}, so the model "
            "is no longer the pruned one; report this model to us."
        )


def _shapes(model: nn.Module) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}


@contextmanager
def _silent() -> Iterator[None]:
    """A classification model prints its size whenever it is built."""
    before, LOGGER.disabled = LOGGER.disabled, True
    try:
        yield
    finally:
        LOGGER.disabled = before
