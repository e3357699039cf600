"""Quantization-aware training: weights that learn, in float, to bear being rounded to 8 bits.

Every convolution before the head's last sees its input and its weights rounded as in int8, with the gradient of no
rounding (straight-through estimator; Jacob et al., "Quantization and Training of Neural Networks for Efficient
Integer-Arithmetic-Only Inference", CVPR 2018). ultralytics' trainer does it with NVIDIA's ModelOpt. The simulated
ranges are then thrown away: what is kept is an ordinary checkpoint, which each runtime quantizes by its own recipe.
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
    """Why nothing can be trained for int8 here, or None."""
    if all(find_spec(name) for name in ("modelopt", "huggingface_hub")):
        return None
    return "nvidia-modelopt is not installed (pip install 'yolo-optimize[qat]')"


@dataclass(frozen=True)
class Qat:
    """Stage: a variant, pruned or not, is trained on with its int8 simulated; it stays a float32 checkpoint.

    The keys are explained in conf/config.yaml; with 0 epochs nothing is trained.

    Attributes:
        data: trained on its training split; the accuracy after each epoch is that on its validation split, in int8.
        modelopt: the version that simulates int8.
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
            warnings.filterwarnings("ignore", module="modelopt")  # of what it could do with other libraries
            path = train("qat", self, variant, folder, quantize=True)
        return replace(variant, path=path, tags=(*variant.tags, "qat"))
