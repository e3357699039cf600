"""Boxes found by a transformer, which ultralytics calls `detect` too, but stretches the images and has no NMS."""

from typing import TYPE_CHECKING

from optimize.yolo.tasks.detect import TASK as DETECT
from optimize.yolo.tasks.task import Parts, Task

if TYPE_CHECKING:
    from torch import nn


def recognises(model: "nn.Module") -> bool:
    from ultralytics.nn.tasks import RTDETRDetectionModel

    return isinstance(model, RTDETRDetectionModel)


def parts() -> Parts:
    from ultralytics.models.rtdetr.train import RTDETRTrainer
    from ultralytics.models.rtdetr.val import RTDETRValidator
    from ultralytics.nn.tasks import RTDETRDetectionModel

    from optimize.yolo.image import stretched
    from optimize.yolo.last_layers import of_transformer
    from optimize.yolo.outputs import Boxes
    from optimize.yolo.read_only import read_image

    return Parts(
        network=RTDETRDetectionModel,
        trainer=RTDETRTrainer,
        validator=RTDETRValidator,
        outputs=Boxes(),
        set_classes=of_transformer,
        open_image=read_image,
        fit=stretched,
    )


TASK = Task(
    name="rtdetr",
    stock="detect",
    recognises=recognises,
    parts=parts,
    metrics=DETECT.metrics,
    head="RTDETRDecoder",
    fitted="images stretched to the input",
    letterbox=False,
    in_pixels=False,
    bundle_head=lambda metadata: "rtdetr",
)
