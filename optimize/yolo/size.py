"""How large a model is, as ultralytics says it; and models to count: built from a yaml, or without numbers."""

from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

from torch import nn
from ultralytics.nn import tasks

from optimize.errors import InputError, described
from optimize.yolo import built
from optimize.yolo.tasks import TASKS, task_of_head


@dataclass(frozen=True)
class Size:
    """The line that ultralytics prints of a model.

    Attributes:
        layers: modules without children.
        parameters: all of them.
        gradients: those that a training changes: not the constants of DFL, and none of a model that is deployed.
    """

    layers: int
    parameters: int
    gradients: int


def size(model: nn.Module) -> Size:
    """Of a model as it is: what is to be trained has more of everything than what is deployed."""
    named = list(model.named_parameters())
    return Size(
        layers=sum(not list(module.children()) for module in model.modules()),
        parameters=sum(p.numel() for _, p in named),
        gradients=sum(p.numel() for name, p in named if p.requires_grad and ".dfl" not in name),
    )


def without_numbers(module: nn.Module) -> nn.Module:
    """A copy on torch's meta device: a forward pass follows the shapes and computes nothing."""
    copy = deepcopy(module)
    copy.model.to("meta")  # not the whole: the head's strides are numbers that it reads
    return copy


def build(yaml: Path) -> nn.Module:
    """The model that a yaml describes, with random weights; a scale is read from its name, e.g. `yolo26n.yaml`.

    Raises:
        InputError: there is no such yaml, here or in ultralytics, or it describes no model for a task that we know.
    """
    try:
        content = tasks.yaml_model_load(yaml)
    except FileNotFoundError as error:
        raise InputError(f"model={yaml} does not exist; give a .pt, .yaml, .onnx or OpenVINO file.") from error
    except Exception as error:  # whatever a yaml that can't be parsed raises
        raise InputError(f"model={yaml} can't be read ({described(error)}); give the yaml of a model.") from error
    if not built.describes_layers(content):
        raise InputError(f"model={yaml} describes no model; give a yaml with rows in `backbone` and `head`.")
    head = content["head"][-1][2]
    task = task_of_head(tasks.guess_model_task(content), head)
    if task is None:
        raise InputError(f"model={yaml} is a model for {head}; give one of {', '.join(known.name for known in TASKS)}.")
    try:
        return built.build(task.parts().network, content, content.get("channels", 3)).eval()
    except Exception as error:  # an unknown block, a width that doesn't fit: ultralytics raises anything here
        raise InputError(f"model={yaml} can't be built ({described(error)}); fix the yaml.") from error
