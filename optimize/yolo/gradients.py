"""Gradients of the task's own loss on labelled pictures, for criteria that see it."""

import math
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import torch
from torch import nn
from torch.utils.data import DataLoader, Subset
from ultralytics.cfg import get_cfg
from ultralytics.data.utils import check_cls_dataset, check_det_dataset
from ultralytics.engine.validator import BaseValidator

from optimize.data.dataset import Dataset
from optimize.errors import MeasurementError
from optimize.progress import bar
from optimize.yolo.validate import VALIDATORS

BATCH = 4


def measure(model: nn.Module, data: Dataset, count: int, seed: int, imgsz: int) -> None:
    """Leave in `.grad` of every parameter the root mean square of its gradients over up to `count` training pictures.

    The square is that of the gradient of a few pictures: a trained model lies near a minimum, where the sum over all
    pictures is near zero whatever a weight is worth. The pictures are prepared as for validation, not augmented, and
    BatchNorm keeps its statistics, so that the loss is that of the model as it is.

    Raises:
        MeasurementError: a gradient is not finite.
    """
    criterion, args = getattr(model, "criterion", None), model.args
    # The loss reads its gains from the arguments, of which a checkpoint need not hold all, and RT-DETR's the classes.
    model.args, model.criterion, model.nc = get_cfg(overrides=_known(args)), None, len(data.names)
    model.train()
    for module in model.modules():
        if isinstance(module, (nn.modules.batchnorm._BatchNorm, nn.Dropout)):
            module.eval()
    torch.manual_seed(seed)  # RT-DETR adds noise to its queries
    squares = {parameter: torch.zeros_like(parameter) for parameter in model.parameters()}
    with TemporaryDirectory() as folder, bar("gradients", min(count, len(data.train))) as tick:
        validator = _validator(data, imgsz, Path(folder))
        step = tick(lambda: None)
        for batch in _batches(validator, count, seed):
            model.zero_grad(set_to_none=True)
            loss, _ = model.loss(validator.preprocess(batch))
            loss.sum().backward()
            for parameter, total in squares.items():
                if parameter.grad is not None:
                    total += parameter.grad**2
            for _ in batch["img"]:
                step()
    model.eval()
    model.args, model.criterion = args, criterion
    batches = math.ceil(min(count, len(data.train)) / BATCH)
    for parameter, total in squares.items():
        parameter.grad = (total / batches).sqrt()
    if not all(parameter.grad.isfinite().all() for parameter in squares):
        raise MeasurementError("the gradients of the loss are not finite, so no channel can be judged by them.")


def _validator(data: Dataset, imgsz: int, folder: Path) -> BaseValidator:
    """ultralytics' validator of the task: it knows how pictures and labels become a batch."""
    task = "detect" if data.task == "rtdetr" else data.task
    settings = {"task": task, "mode": "val", "data": str(data.yaml), "imgsz": imgsz, "rect": False, "device": "cpu"}
    made = VALIDATORS[data.task](save_dir=folder, args={**settings, "plots": False, "verbose": False})
    made.data = (check_cls_dataset if task == "classify" else check_det_dataset)(str(data.yaml))
    made.device, made.stride, made.names = torch.device("cpu"), 32, dict(enumerate(data.names))
    return made


def _batches(validator: BaseValidator, count: int, seed: int) -> DataLoader:
    pictures = validator.build_dataset(validator.data["train"])
    chosen = Subset(pictures, Random(seed).sample(range(len(pictures)), min(count, len(pictures))))
    return DataLoader(chosen, BATCH, collate_fn=getattr(pictures, "collate_fn", None))


def _known(args: dict) -> dict:
    """The arguments of a checkpoint that this ultralytics still has."""
    return {key: value for key, value in args.items() if key in vars(get_cfg())}
