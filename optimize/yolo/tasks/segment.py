"""A mask for each object."""

from optimize.yolo.tasks.task import Parts, Task


def parts() -> Parts:
    from ultralytics.models.yolo.segment import SegmentationTrainer, SegmentationValidator
    from ultralytics.nn.tasks import SegmentationModel

    from optimize.yolo.image import letterboxed
    from optimize.yolo.last_layers import of_branches
    from optimize.yolo.outputs import Boxes
    from optimize.yolo.read_only import read_image

    return Parts(
        network=SegmentationModel,
        trainer=SegmentationTrainer,
        validator=SegmentationValidator,
        outputs=Boxes(metric="seg", hits="tp_m"),
        set_classes=of_branches,
        open_image=read_image,
        fit=letterboxed,
    )


TASK = Task(
    name="segment",
    stock="segment",
    recognises=lambda model: model.task == "segment",
    parts=parts,
    metrics={
        "mask mAP50-95": "metrics/mAP50-95(M)",
        "mask mAP50": "metrics/mAP50(M)",
        "box mAP50-95": "metrics/mAP50-95(B)",
        "box mAP50": "metrics/mAP50(B)",
    },
    output_names=("output0", "output1"),  # predictions, and the prototypes that masks are made of
    pipeline="image-segmentation",
)
