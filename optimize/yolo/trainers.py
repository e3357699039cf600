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
from ultralytics.models.rtdetr.train import RTDETRTrainer
from ultralytics.models.yolo.classify import ClassificationTrainer
from ultralytics.models.yolo.detect import DetectionTrainer
from ultralytics.models.yolo.obb import OBBTrainer
from ultralytics.models.yolo.pose import PoseTrainer
from ultralytics.models.yolo.segment import SegmentationTrainer
from ultralytics.nn import tasks
from ultralytics.nn.modules import Classify as ClassifyHead
from ultralytics.nn.modules import RTDETRDecoder
from ultralytics.nn.tasks import BaseModel
from ultralytics.utils.torch_utils import strip_qat

from optimize.errors import InputError
from optimize.yolo import (
    checkpoint,
    read_only,  # noqa: F401  replaces what writes into a data set
)
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


# One class per task at module level, since the workers of multi-GPU training import the trainer by its name.
class Detect(KeepWidths, DetectionTrainer): ...


class Segment(KeepWidths, SegmentationTrainer): ...


class Pose(KeepWidths, PoseTrainer): ...


class Obb(KeepWidths, OBBTrainer): ...


class Classify(KeepWidths, ClassificationTrainer): ...


class RTDetr(KeepWidths, RTDETRTrainer): ...


TRAINERS = {
    tasks.DetectionModel: Detect,
    tasks.SegmentationModel: Segment,
    tasks.PoseModel: Pose,
    tasks.OBBModel: Obb,
    tasks.ClassificationModel: Classify,
    tasks.RTDETRDetectionModel: RTDetr,
}


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
    return TRAINERS[type(model)](overrides=overrides, _callbacks=_callbacks)


def check_kind(model: nn.Module, given: str) -> None:
    """Raises InputError where no trainer here is for a network of this class."""
    if type(model) not in TRAINERS:
        raise InputError(
            f"{given} is a {type(model).__name__}; allowed are {', '.join(kind.__name__ for kind in TRAINERS)}; train "
            "it with `yolo train`."
        )


def check_fit(model: BaseModel, given: str, channels: int, keypoints: Sequence[int] | None) -> None:
    """Look whether a network whose widths are kept takes the images and finds the keypoints of the data.

    Args:
        model: whose widths are kept.
        given: how the user named it, for the error's sentence.
        channels: of the images.
        keypoints: how many an object has, and the numbers of each; None for other tasks than pose.

    Raises:
        InputError: it doesn't, so some layer would need another width.
    """
    pairs: dict[str, tuple[Any, Any]] = {"channels": (checkpoint.channels(model), channels)}
    if model.task == "pose":
        pairs["kpt_shape"] = list(checkpoint.keypoints(model) or ()), list(keypoints or ())
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
    head = model.model[-1]
    if isinstance(head, ClassifyHead):
        return tasks.ClassificationModel.reshape_outputs(model, classes)
    if head.nc == classes:
        return None
    head.nc = classes
    if isinstance(head, RTDETRDecoder):
        head.denoising_class_embed = nn.Embedding(classes, head.denoising_class_embed.embedding_dim)
        head.enc_score_head = nn.Linear(head.enc_score_head.in_features, classes)
        head.dec_score_head = nn.ModuleList(nn.Linear(layer.in_features, classes) for layer in head.dec_score_head)
        return head._reset_parameters()
    head.no = classes + 4 * head.reg_max
    semantic = getattr(getattr(head, "proto", None), "semseg", None)
    for branch in (*head.cv3, *(getattr(head, "one2one_cv3", None) or ()), *([semantic] if semantic else [])):
        branch[-1] = nn.Conv2d(branch[-1].in_channels, classes, 1)
    return head.bias_init()


def _copy(weights: BaseModel) -> BaseModel:
    """What a stock trainer would have built: without what an earlier training left on the module."""
    model = deepcopy(weights).requires_grad_(True)
    strip_qat(model)
    model.criterion = None
    vars(model).pop("class_weights", None)
    for module in model.modules():  # a distillation reads features by hooks
        module._forward_hooks.clear()
    return model
