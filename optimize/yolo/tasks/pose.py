"""Keypoints of each object."""

from optimize.yolo.tasks.task import Parts, Task


def parts() -> Parts:
    from ultralytics.models.yolo.pose import PoseTrainer, PoseValidator
    from ultralytics.nn.tasks import PoseModel

    from optimize.yolo.image import letterboxed
    from optimize.yolo.last_layers import of_branches
    from optimize.yolo.outputs import Boxes
    from optimize.yolo.read_only import read_image

    return Parts(
        network=PoseModel,
        trainer=PoseTrainer,
        validator=PoseValidator,
        outputs=Boxes(metric="pose", hits="tp_p"),
        set_classes=of_branches,
        open_image=read_image,
        fit=letterboxed,
    )


TASK = Task(
    name="pose",
    stock="pose",
    recognises=lambda model: model.task == "pose",
    parts=parts,
    metrics={
        "pose mAP50-95": "metrics/mAP50-95(P)",
        "pose mAP50": "metrics/mAP50(P)",
        "box mAP50-95": "metrics/mAP50-95(B)",
        "box mAP50": "metrics/mAP50(B)",
    },
    keypoints=True,
    pipeline="keypoint-detection",
)
