"""Re-estimates the BatchNorm statistics of a pruned network.

After pruning, the mean and variance of a layer's activations differ from those that its BatchNorm has stored.
Re-estimating them needs images but no labels and no gradients: "adaptive batch normalization", EagleEye (Li et al.,
ECCV 2020, section 3.3). It alone restores most of the accuracy that moderate pruning appears to cost.
"""

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from optimize.data.calibration import sample
from optimize.dataset import Dataset
from optimize.errors import InputError
from optimize.store.apply import write_report
from optimize.variant import Variant
from optimize.work import Reestimated
from optimize.yolo import checkpoint

BATCH = 16


@dataclass(frozen=True)
class BatchNorm:
    """Stage: a pruned variant gets new BatchNorm statistics; any other is returned as it is.

    The keys are explained in conf/recover/bn.yaml.

    Attributes:
        data: the data set whose training images are used, without labels.
    """

    data: Dataset
    images: int = 256
    seed: int = 0

    def __post_init__(self) -> None:
        if self.images < 1:
            raise InputError(f"recover.bn.images={self.images} is out of range; give 1 or more, 256 is the default.")

    def __call__(self, variant: Variant, folder: Path) -> Variant:
        if "pruned" not in variant.tags:
            return variant
        began, path = time.perf_counter(), folder / "recovered.pt"
        model = checkpoint.load(variant.path)
        images = reestimate(model, _batches(sample(self.data, self.images, self.seed, variant.imgsz)))
        checkpoint.save(model, path, half=True)
        write_report(Reestimated(images, round(time.perf_counter() - began, 1)), folder)
        return replace(variant, path=path)


def _batches(images: Iterable[np.ndarray]) -> Iterator[Tensor]:
    """Batches of equal size; a smaller last batch is left out unless it is the only one."""
    stream, full = iter(images), False
    while batch := list(islice(stream, BATCH)):
        if full and len(batch) < BATCH:
            return
        full = True
        yield torch.from_numpy(np.concatenate(batch))


def reestimate(model: nn.Module, batches: Iterable[Tensor]) -> int:
    """Replace the running statistics of every BatchNorm by their average over `batches` of (N, 3, H, W) float32.

    Every batch has the same weight, so batches should be of equal size. The mean is then exact; the variance is the
    average of the variances within the batches, as everywhere in torch. The model is left in eval mode with unchanged
    weights and momenta. Returns the number of images.
    """
    norms = [module for module in model.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    momenta = [norm.momentum for norm in norms]
    # The whole model is in training mode, not only its BatchNorms: some branches of a head run only in training.
    model.train()
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.eval()
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # torch's cumulative average
    images = 0
    with torch.no_grad():
        for batch in batches:
            model(batch)
            images += len(batch)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    model.eval()
    return images
