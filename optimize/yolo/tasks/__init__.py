"""The tasks, a file each: trainer, validator, metrics, labels and outputs in one record."""

from typing import TYPE_CHECKING

from optimize.yolo.tasks import classify, detect, obb, pose, rtdetr, segment
from optimize.yolo.tasks.task import Task

if TYPE_CHECKING:
    from torch import nn

TASKS = (
    detect.TASK,
    rtdetr.TASK,
    obb.TASK,
    segment.TASK,
    pose.TASK,
    classify.TASK,
)
BY_NAME = {task.name: task for task in TASKS}


def task_of(model: "nn.Module") -> Task | None:
    """The task of a model; of several that recognise it the last in the list, which is the more special one."""
    return next((task for task in reversed(TASKS) if task.recognises(model)), None)


def task_of_head(stock: str | None, head: str) -> Task | None:
    """The task of a yaml or of an exported file: of its last layer's class, else of ultralytics' name of the task."""
    own = next((task for task in TASKS if task.head == head), None)
    return own or next((task for task in TASKS if task.stock == stock and task.head is None), None)
