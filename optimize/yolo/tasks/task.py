"""The record of a task: all that the rest of the program asks about it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:  # not at run time: a report is drawn without ultralytics
    import numpy as np
    from torch import nn
    from ultralytics.engine.trainer import BaseTrainer
    from ultralytics.engine.validator import BaseValidator
    from ultralytics.nn.tasks import BaseModel

    from optimize.dataset import Dataset
    from optimize.input_size import Size
    from optimize.measure.detections import Detections


class Figures(NamedTuple):
    """What `Accuracy` holds beside the metrics."""

    classes: dict[str, float]
    objects: dict[str, int]
    folds: tuple[float, ...]
    class_folds: dict[str, tuple[float, ...]]


class Outputs(Protocol):
    """What is kept of a validation."""

    def of_image(
        self,
        validator: "BaseValidator",
        outputs: Any,
        batch: dict,
        position: Callable[[str], int],
        names: Sequence[str],
    ) -> tuple["Detections", dict[str, Any]]:
        """What was found in the image that `validator` has just judged, and ultralytics' statistics of it.

        Args:
            validator: of the task.
            outputs: what it made of the network's outputs, for a batch of one image.
            batch: that batch, as its loader gives it.
            position: of an image's file among those that are validated.
            names: of the classes.
        """

    def figures(self, validator: "BaseValidator", data: "Dataset", images: list[dict]) -> Figures:
        """`images` are the statistics of each image."""


@dataclass(frozen=True)
class Parts:
    """What of a task is made of ultralytics' classes.

    Attributes:
        network: the class of its networks.
        trainer: the class that trains them; a mixin keeps the widths of pruned ones.
        validator: the class that validates them, fed by any session, image by image in the order of the split.
        outputs: what is kept of a validation.
        set_classes: gives a network, in place, new last layers for another number of classes, as ultralytics does.
        open_image: reads an image file as its loader does, (height, width, 3) uint8 BGR; None where it can't.
        fit: from such an image and the input size to what the network sees, (1, 3, height, width) float32 RGB in
            0..1, exactly as the validator does it.
    """

    network: type["BaseModel"]
    trainer: type["BaseTrainer"]
    validator: type["BaseValidator"]
    outputs: Outputs
    set_classes: Callable[["BaseModel", int], None]
    open_image: Callable[[Path], "np.ndarray | None"]
    fit: Callable[["np.ndarray", "Size"], "np.ndarray"]


@dataclass(frozen=True)
class Task:
    """A task; its file imports ultralytics only inside `parts`.

    Attributes:
        name: as the report and a data set call it; it also names the trainer's class, so it is an identifier.
        stock: ultralytics' name of it, which reads labels and settings.
        recognises: whether a model is one of this task. A task that stands later in the list is asked first.
        parts: what is made of ultralytics' classes.
        metrics: ultralytics' figures by our names, the main one first, then the second one that tables show.
        head: class of a last layer that is this task's alone, where ultralytics has no name of its own for the task.
        fitted: how the validator fits an image into the input, as the report says it.
        letterbox: whether it keeps the proportions and pads; else it scales both sides. A bundle repeats it.
        folders: whether the labels are names of folders, instead of a text file per image.
        keypoints: whether an object has keypoints, so that the data set and the model must agree on `kpt_shape`.
        output_names: of the exported graph.
        in_pixels: whether the first output begins with boxes in pixels; some runtimes need them in shares of the image.
        bundle_head: from an exported file's metadata to the `head` in bundle.json, by which bundle/files/run.py
            decodes the outputs; None where it can't.
        pipeline: Hugging Face's name of such a task, for a model card.
    """

    name: str
    stock: str
    recognises: Callable[["nn.Module"], bool]
    parts: Callable[[], Parts]
    metrics: dict[str, str]
    head: str | None = None
    fitted: str = "letterbox to the whole input (rect=False)"
    letterbox: bool = True
    folders: bool = False
    keypoints: bool = False
    output_names: tuple[str, ...] = ("output0",)
    in_pixels: bool = True
    bundle_head: Callable[[dict[str, Any]], str] | None = None
    pipeline: str = "object-detection"
