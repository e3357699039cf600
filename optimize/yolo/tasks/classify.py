"""One class for the whole image; the data is a folder per class."""

from optimize.yolo.tasks.task import Parts, Task


def parts() -> Parts:
    from ultralytics.models.yolo.classify import ClassificationTrainer
    from ultralytics.nn.tasks import ClassificationModel

    from optimize.yolo.image import cut_out, open_as_classified
    from optimize.yolo.outputs import Classes, InOrder

    return Parts(
        network=ClassificationModel,
        trainer=ClassificationTrainer,
        validator=InOrder,
        outputs=Classes(),
        set_classes=ClassificationModel.reshape_outputs,
        open_image=open_as_classified,
        fit=cut_out,
    )


TASK = Task(
    name="classify",
    stock="classify",
    recognises=lambda model: model.task == "classify",
    parts=parts,
    metrics={"top-1": "metrics/accuracy_top1", "top-5": "metrics/accuracy_top5"},
    fitted="shorter side resized and the middle cut out",
    letterbox=False,
    folders=True,
    in_pixels=False,
    pipeline="image-classification",
)
