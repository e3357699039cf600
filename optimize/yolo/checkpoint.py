"""Read and write ultralytics checkpoints, and turn one into the graph that is deployed."""

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from copy import deepcopy
from pathlib import Path
from unittest.mock import patch

import torch
from torch import nn
from ultralytics import __version__ as ultralytics_version
from ultralytics.nn import tasks
from ultralytics.nn.autobackend import check_class_names
from ultralytics.nn.modules import Classify
from ultralytics.nn.tasks import BaseModel, load_checkpoint
from ultralytics.utils import downloads
from ultralytics.utils.checks import check_imgsz

from optimize.errors import InputError
from optimize.host.confined import confined
from optimize.input_size import Size, square
from optimize.yolo import claims, stranger
from optimize.yolo.foreign import reason, what_instead
from optimize.yolo.tasks import task_of
from optimize.yolo.two_heads import is_end_to_end

_search = downloads.attempt_download_asset


def _at_its_path(file: str | Path, *arguments, **named) -> str:
    """A file that is there is loaded from there: ultralytics looks for it without the quotes in its path, say."""
    return str(file) if os.path.exists(file) else _search(file, *arguments, **named)


downloads.attempt_download_asset = _at_its_path

SAFE = "ULTRALYTICS_SAFE_LOAD"  # ultralytics reads it when it is imported


@contextmanager
def trusted(trust: bool) -> Iterator[None]:
    """Load only known classes of checkpoints, or, with `trust`, whatever they hold, which can be any code.

    It holds inside the `with`, in this process and, by the environment, in those that it starts.
    """
    before = tasks.SAFE_LOAD, os.environ[SAFE]
    tasks.SAFE_LOAD, os.environ[SAFE] = not trust, str(not trust).lower()
    try:
        yield
    finally:
        tasks.SAFE_LOAD, os.environ[SAFE] = before


def read(path: Path) -> tuple[BaseModel, dict]:
    """The float32 module of a checkpoint, without the quantizers of `yolo train quantize=8`, and what is beside it."""
    if tasks.SAFE_LOAD:
        stranger.check_archive(path)
    with without_quantizers(), confined(tasks.SAFE_LOAD):
        return load_checkpoint(path)


def without_quantizers() -> AbstractContextManager:
    """Meanwhile ultralytics restores none: they lie beside the module as data, by which ModelOpt would set anything."""
    return patch.object(tasks, "restore_qat", lambda model, state: None)


def load(path: Path, key: str = "model") -> BaseModel:
    """The float32 model of a checkpoint: unfused, on the CPU, in eval mode, every parameter trainable.

    One of `yolo train quantize=8` gives its float weights; each runtime gets ranges of its own. `key` is where it was
    given on the command line, for the error's sentence.

    Raises:
        InputError: the file is missing, is no checkpoint of ultralytics 8, or is fused.
    """
    if not path.exists():
        raise InputError(f"{key}={path} does not exist; give the path of a trained .pt checkpoint.")
    if path.suffix.lower() != ".pt" or path.is_dir():
        raise InputError(f"{key}={path} is not a .pt checkpoint; {what_instead(path)}.")
    try:
        model, _ = read(path)
        claims.check(model)
    except Exception as error:  # whatever a broken or foreign pickle raises, the user can only give another file
        raise InputError(f"{key}={path} {reason(path, error)}; give a .pt checkpoint of ultralytics 8.") from error
    if not any(isinstance(module, nn.BatchNorm2d) for module in model.modules()):
        raise InputError(
            f"{key}={path} is fused (it has no BatchNorm left), so it can't be pruned or trained; "
            "give the unfused checkpoint."
        )
    model.criterion = None
    return model.requires_grad_(True)


def task(model: BaseModel) -> str:
    """Name of the task that recognises it, or what ultralytics calls it where none does."""
    known = task_of(model)
    return known.name if known else model.task


def architecture(model: BaseModel) -> str:
    """The name of the yaml that it was built from, e.g. `yolo11n`; of its class where it doesn't say."""
    return Path(model.yaml.get("yaml_file", type(model).__name__)).stem


def names(model: BaseModel) -> tuple[str, ...]:
    """Class names in the order of their ids; the codes of ImageNet's classes are given as names."""
    found = check_class_names(model.names)
    return tuple(found[i] for i in sorted(found))


def classes(model: BaseModel) -> int:
    """How many classes the head tells apart; a damaged checkpoint has fewer names."""
    head = model.model[-1]
    return head.linear.out_features if isinstance(head, Classify) else head.nc


def keypoints(model: BaseModel) -> tuple[int, ...] | None:
    """How many keypoints of an object a model finds and the numbers of each; None where its task has none."""
    known = task_of(model)
    return tuple(model.model[-1].kpt_shape) if known and known.keypoints else None


def blocks(model: BaseModel) -> dict[str, str]:
    """Kind of every top-level module, in order, e.g. `{"model.2": "C2f"}`."""
    return {f"model.{i}": type(block).__name__ for i, block in enumerate(model.model)}


def channels(model: BaseModel) -> int:
    """Channels of the images that the model takes; 3 is RGB."""
    return model.yaml.get("channels", model.yaml.get("ch", 3))  # `ch` in older files


def stride(model: BaseModel) -> int:
    """What the side of an input must be a multiple of, in pixels; as ultralytics trains and validates, at least 32."""
    return max(32, int(max(model.stride)))


def usual_size(model: BaseModel) -> Size:
    """The square input that the checkpoint was trained at.

    Raises:
        InputError: it says no size.
    """
    return square(check_imgsz(claims.trained_size(model.args), stride(model), max_dim=1))


def check_size(called: str, model: BaseModel, imgsz: Size) -> None:
    """An input must be one that the network can halve as often as it does.

    Raises:
        InputError: `imgsz` is no multiple of the stride; ultralytics would round it up.
    """
    step = stride(model)
    for side in (imgsz.height, imgsz.width):
        if side < step or side % step:
            below = max(side, 0) // step * step
            near = " or ".join(str(size) for size in (below, below + step) if size > 0)
            raise InputError(
                f"imgsz={imgsz} is not allowed for {called}; give a multiple of its stride {step}, e.g. {near}."
            )


def save(model: BaseModel, path: Path, *, half: bool = False) -> None:
    """Write `model` as a checkpoint that stock `YOLO(path)` loads; names and task travel inside the module.

    Intermediate checkpoints keep float32. `half` stores float16, as `yolo train` leaves its own, for a checkpoint
    that is handed out: it is half the size and loads as float32 again.
    """
    module = deepcopy(model).eval()
    module.criterion = None
    vars(module).pop("pt_path", None)  # where it was loaded from: equal work would have unequal bytes
    torch.save(
        {
            "epoch": -1,
            "best_fitness": None,
            "model": module.half() if half else module.float(),
            "ema": None,
            "updates": None,
            "optimizer": None,
            "train_args": dict(model.args) if hasattr(model, "args") else {},
            "date": "",
            "version": ultralytics_version,
        },
        path,
    )


def deployed(model: BaseModel) -> BaseModel:
    """A fused eval copy with only the head that is deployed: what FLOPs, accuracy, export and latency all see.

    YOLO10 and YOLO26 carry two heads; ultralytics 8.4 validates and exports the one-to-many head unless told
    otherwise, and so do we, where it is there. The head is chosen before `fuse()`, which drops the other.
    """
    module = deepcopy(model).float().eval()
    if hasattr(module, "end2end"):
        module.end2end = is_end_to_end(module)
    module.criterion = None
    return module.fuse(verbose=False).requires_grad_(False)
