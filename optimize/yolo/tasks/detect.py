"""Boxes around objects."""

from optimize.yolo.tasks.task import Parts, Task


def parts() -> Parts:
    from ultralytics.models.yolo.detect import DetectionTrainer, DetectionValidator
    from ultralytics.nn.tasks import DetectionModel

    from optimize.yolo.image import letterboxed
    from optimize.yolo.last_layers import of_branches
    from optimize.yolo.outputs import Boxes
    from optimize.yolo.read_only import read_image

    return Parts(
        network=DetectionModel,
        trainer=DetectionTrainer,
        validator=DetectionValidator,
        outputs=Boxes(),
        set_classes=of_branches,
        open_image=read_image,
        fit=letterboxed,
    )


TASK = Task(
    name="detect",
    stock="detect",
    recognises=lambda model: model.task == "detect",
    parts=parts,
    metrics={"mAP50-95": "metrics/mAP50-95(B)", "mAP50": "metrics/mAP50(B)"},
    bundle_head=lambda metadata: "end2end" if metadata["end2end"] else "one2many",
)
