"""The task's own loss on labelled training images, for a pruning that sees it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves, tree_map_only
from torch.utils.data import DataLoader, Subset
from ultralytics.cfg import get_cfg
from ultralytics.data.utils import check_cls_dataset, check_det_dataset
from ultralytics.engine.validator import BaseValidator
from ultralytics.nn.modules import RTDETRDecoder
from ultralytics.nn.tasks import BaseModel

from optimize.dataset import Dataset
from optimize.errors import MeasurementError
from optimize.input_size import Size
from optimize.progress import bar
from optimize.yolo import read_only  # noqa: F401  replaces what writes into a data set
from optimize.yolo.tasks import BY_NAME

FEW = 4  # images whose gradients are summed before they are squared


def batches(
    data: Dataset, count: int, size: int, seed: int, imgsz: Size, device: torch.device | None = None
) -> list[dict[str, Tensor]]:
    """Up to `count` training images with their labels in batches of `size`, on `device`, as for validation."""
    with TemporaryDirectory() as folder:
        validator = _validator(data, imgsz, Path(folder))
        validator.device = device or torch.device("cpu")
        images = validator.build_dataset(validator.data["train"])
        chosen = Subset(images, Random(seed).sample(range(len(images)), min(count, len(images))))
        loader = DataLoader(chosen, size, collate_fn=getattr(images, "collate_fn", None))
        return [validator.preprocess(batch) for batch in loader]


@contextmanager
def losing(model: BaseModel, data: Dataset) -> Iterator[BaseModel]:
    """`model` in training mode and with all that ultralytics' losses ask for; afterwards it is as it was, in eval mode.

    A loss reads its gains from the arguments, of which a checkpoint need not hold all; RT-DETR's reads the classes.
    """
    args, criterion = model.args, getattr(model, "criterion", None)
    known = vars(get_cfg())
    model.args = get_cfg(overrides={key: value for key, value in dict(args).items() if key in known})
    model.criterion, model.nc = None, len(data.names)
    model.train()
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.eval()
    try:
        yield model
    finally:
        model.eval()
        model.args, model.criterion = args, criterion


def loss(model: BaseModel, batch: dict[str, Tensor], seed: int) -> Tensor:
    """The loss of a batch, summed over its images; `model` is one that `losing` gave."""
    torch.manual_seed(seed)  # RT-DETR adds noise to its queries
    return model.loss(dict(batch))[0].sum()


@contextmanager
def outputs_of(model: BaseModel) -> Iterator[list[Tensor]]:
    """Inside, a list of the numbers that the network gave when it ran last; gradients of the loss end at them.

    It stays empty for RT-DETR, whose outputs are of the queries with the highest scores: after a change the same place
    may belong to another object.
    """
    last: list[Tensor] = []

    def hear(module: nn.Module, args: object, output: object) -> object:
        output = tree_map_only(Tensor, _leaf, output)
        last[:] = [leaf for leaf in tree_leaves(output) if isinstance(leaf, Tensor) and leaf.is_floating_point()]
        return output

    head = model.model[-1]
    hook = None if isinstance(head, RTDETRDecoder) else head.register_forward_hook(hear)
    try:
        yield last
    finally:
        if hook is not None:
            hook.remove()


def _leaf(tensor: Tensor) -> Tensor:
    return tensor.detach().requires_grad_(torch.is_grad_enabled() and tensor.is_floating_point())


def gradients(model: BaseModel, data: Dataset, count: int, seed: int, imgsz: Size) -> None:
    """Leave in `.grad` of every parameter the root mean square of its gradients over up to `count` training images.

    The square is that of the gradient of a few images: a trained model lies near a minimum, where the sum over all
    images is near zero whatever a weight is worth. BatchNorm keeps its statistics, so that the loss is that of the
    model as it is.

    Raises:
        MeasurementError: a gradient is not finite.
    """
    squares = {parameter: torch.zeros_like(parameter) for parameter in model.parameters()}
    given = batches(data, count, FEW, seed, imgsz, next(model.parameters()).device)
    with losing(model, data), bar("gradients of the loss", len(given)) as tick:
        for module in model.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.eval()

        @tick
        def add(batch: dict[str, Tensor]) -> None:
            model.zero_grad(set_to_none=True)
            loss(model, batch, seed).backward()
            for parameter, total in squares.items():
                if parameter.grad is not None:
                    total += parameter.grad**2

        for batch in given:
            add(batch)
    roots = {parameter: (total / len(given)).sqrt() for parameter, total in squares.items()}
    for parameter, root in roots.items():
        parameter.grad = root
    if not all(root.isfinite().all() for root in roots.values()):
        raise MeasurementError("the gradients of the loss are not finite, so no channel can be judged by them.")


def _validator(data: Dataset, imgsz: Size, folder: Path) -> BaseValidator:
    """ultralytics' validator of the task: it knows how images and labels become a batch."""
    task = BY_NAME[data.task]
    settings = {"task": task.stock, "mode": "val", "data": str(data.yaml), "rect": False}
    settings |= {"device": "cpu", "single_cls": data.single_cls, "plots": False, "verbose": False}
    made = task.parts().validator(save_dir=folder, args=settings)
    made.args.imgsz = imgsz.sides
    made.data = (check_cls_dataset if task.folders else check_det_dataset)(str(data.yaml))
    made.stride, made.names = imgsz.longer, dict(enumerate(data.names))
    return made
