"""Quantization-aware training: trains float weights so that rounding them to 8 bits costs less accuracy.

In every convolution before the head's last ones, input and weights are rounded as in int8, and gradients ignore the
rounding (straight-through estimator; Jacob et al., "Quantization and Training of Neural Networks for Efficient
Integer-Arithmetic-Only Inference", CVPR 2018). ultralytics' trainer does this with NVIDIA's ModelOpt. The simulated
ranges are discarded: the result is an ordinary checkpoint, which each runtime quantizes by its own recipe.
"""

import warnings
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from optimize.dataset import Dataset
from optimize.errors import InputError
from optimize.recover.training import train
from optimize.variant import Variant


def unavailable() -> str | None:
    """Why quantization-aware training can't run here; None where it can."""
    if all(find_spec(name) for name in ("modelopt", "huggingface_hub")):
        return None
    return "nvidia-modelopt is not installed (pip install '.[qat]')"


@dataclass(frozen=True)
class Qat:
    """Stage: fine-tunes a variant, pruned or not, with int8 simulated; the result is a float32 checkpoint.

    The keys are explained in conf/config.yaml; with 0 epochs nothing is trained.

    Attributes:
        data: the data set: its training split trains, its validation split gives the int8 accuracy after each epoch.
        modelopt: the version of ModelOpt, which simulates int8.
    """

    data: Dataset
    epochs: int
    batch: int = 16
    device: str | None = None
    seed: int = 0
    modelopt: str = field(default="", init=False)

    def __post_init__(self) -> None:
        if self.epochs and (reason := unavailable()):
            raise InputError(f"recover=qat can't train, since {reason}.")
        if self.epochs:
            object.__setattr__(self, "modelopt", version("nvidia-modelopt"))

    def __call__(self, variant: Variant, folder: Path) -> Variant:
        if self.epochs == 0:
            return variant
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="modelopt")  # about optional libraries
            path = train("qat", self, variant, folder, quantize=True)
        return replace(variant, path=path, tags=(*variant.tags, "qat"))
