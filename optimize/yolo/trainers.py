"""ultralytics' own trainers, with the widths of a pruned checkpoint kept; any other checkpoint trains as in stock.

Only how the network is made differs: instead of one built from the yaml it is the checkpoint's own, with new last
layers where the data has other classes, and then, as in stock, the weights that fit are transferred.
"""

from collections.abc import Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

from torch import nn
from ultralytics.engine.trainer import BaseTrainer
from ultralytics.nn.modules import Classify as ClassifyHead
from ultralytics.nn.tasks import BaseModel
from ultralytics.utils.torch_utils import strip_qat

from optimize.errors import InputError
from optimize.yolo import (
    checkpoint,
    read_only,  # noqa: F401  replaces what writes into a data set
)
from optimize.yolo.tasks import BY_NAME, TASKS, task_of
from optimize.yolo.widths import is_pruned, set_classes_of_yaml, stop_stock_training


class KeepWidths(BaseTrainer):
    """Mixin before a task's trainer."""

    def get_model(self, cfg=None, weights: BaseModel | None = None, verbose: bool = True) -> BaseModel:
        """The network to train.

        Raises:
            InputError: it is fused, or the data asks a pruned one for other inputs or outputs than it has.
        """
        if weights is None:
            return super().get_model(cfg=cfg, weights=weights, verbose=verbose)
        model = _copy(weights)
        if model.is_fused():
            raise InputError(f"model={self.args.model} is fused, so it can't be trained; give the unfused checkpoint.")
        pruned = is_pruned(model)
        if pruned is False:
            return super().get_model(cfg=cfg, weights=weights, verbose=verbose)
        check_fit(model, f"model={self.args.model}", self.data["channels"], self.data.get("kpt_shape"))
        set_classes(model, self.data["nc"])
        if pruned:
            stop_stock_training(model)
        if isinstance(model.model[-1], ClassifyHead):
            model.model[-1].drop.p = self.args.dropout
        else:
            self.set_model_names_for_load(model)  # the weights of a class follow its name
        model.info(verbose=verbose)
        model.load(weights, verbose=verbose)
        return model


def one_per_task(mixin: type, module: str) -> dict[str, type[BaseTrainer]]:
    """For each task, by its name, a class with `mixin` before ultralytics' trainer of the task.

    They must stand in `module` under their names: the workers of multi-GPU training import the trainer from there.
    """
    return {
        task.name: type(task.name.capitalize(), (mixin, task.parts().trainer), {"__module__": module}) for task in TASKS
    }


TRAINERS = one_per_task(KeepWidths, __name__)
globals().update((kind.__name__, kind) for kind in TRAINERS.values())


def trainer(overrides: dict, _callbacks: dict | None = None) -> BaseTrainer:
    """The trainer for the checkpoint `overrides["model"]`, as `YOLO.train(trainer=...)` asks for it.

    Raises:
        InputError: there is no checkpoint, ultralytics has a trainer of another kind for it, or it is pruned and its
            weights are not to be used.
    """
    given = f"model={overrides['model']}"
    if str(overrides["model"]).lower().endswith((".yaml", ".yml")):
        raise InputError(f"{given} holds no weights, so it has no widths to keep; give a .pt checkpoint.")
    model, _ = checkpoint.read(overrides["model"])
    check_kind(model, given)
    pretrained = overrides.get("pretrained", True)
    other_weights = pretrained is False or isinstance(pretrained, str | Path)
    if other_weights and not overrides.get("resume") and is_pruned(_copy(model)) is not False:
        raise InputError(
            f"pretrained={pretrained} is not allowed for a pruned checkpoint, since its widths come with its weights; "
            f"leave it out to begin with those of {given}."
        )
    return TRAINERS[checkpoint.task(model)](overrides=overrides, _callbacks=_callbacks)


def check_kind(model: nn.Module, given: str) -> None:
    """Raises InputError where no trainer here is for a network of this class."""
    known = task_of(model)
    if known is None or type(model) is not known.parts().network:
        networks = dict.fromkeys(task.parts().network.__name__ for task in TASKS)
        raise InputError(
            f"{given} is a {type(model).__name__}; allowed are {', '.join(networks)}; train it with `yolo train`."
        )


def check_fit(model: BaseModel, given: str, channels: int, keypoints: Sequence[int] | None) -> None:
    """Look whether a network whose widths are kept takes the images and finds the keypoints of the data.

    Args:
        model: whose widths are kept.
        given: how the user named it, for the error's sentence.
        channels: of the images.
        keypoints: how many an object has, and the numbers of each; None where the task has none.

    Raises:
        InputError: it doesn't, so some layer would need another width.
    """
    pairs: dict[str, tuple[Any, Any]] = {"channels": (checkpoint.channels(model), channels)}
    if found := checkpoint.keypoints(model):
        pairs["kpt_shape"] = list(found), list(keypoints or ())
    for key, (has, asked) in pairs.items():
        if has != asked:
            raise InputError(
                f"{given} has {key} {has}, the data has {asked}, and its widths are kept; give data with the same, "
                "or train an unpruned checkpoint on it and prune that."
            )


def set_classes(model: BaseModel, classes: int) -> None:
    """Give `model`, in place, new last layers for another number of classes, initialized as ultralytics does.

    It also initializes other layers anew, so the weights must be loaded afterwards.
    """
    set_classes_of_yaml(model, classes)
    BY_NAME[checkpoint.task(model)].parts().set_classes(model, classes)


def _copy(weights: BaseModel) -> BaseModel:
    """What a stock trainer would have built: without what an earlier training left on the module."""
    model = deepcopy(weights).requires_grad_(True)
    strip_qat(model)
    model.criterion = None
    vars(model).pop("class_weights", None)
    for module in model.modules():  # a distillation reads features by hooks
        module._forward_hooks.clear()
    return model
