"""Boxes that are rotated with their objects."""

from optimize.yolo.tasks.detect import TASK as DETECT
from optimize.yolo.tasks.task import Parts, Task


def parts() -> Parts:
    from ultralytics.models.yolo.obb import OBBTrainer, OBBValidator
    from ultralytics.nn.tasks import OBBModel

    from optimize.yolo.image import letterboxed
    from optimize.yolo.last_layers import of_branches
    from optimize.yolo.outputs import Boxes
    from optimize.yolo.read_only import read_image

    return Parts(
        network=OBBModel,
        trainer=OBBTrainer,
        validator=OBBValidator,
        outputs=Boxes(rotated=True),
        set_classes=of_branches,
        open_image=read_image,
        fit=letterboxed,
    )


TASK = Task(
    name="obb",
    stock="obb",
    recognises=lambda model: model.task == "obb",
    parts=parts,
    metrics=DETECT.metrics,
)
