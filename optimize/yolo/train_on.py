"""Train a checkpoint, pruned or not, as `yolo train` does, with its widths kept."""

import logging
import re
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

from torch import nn
from ultralytics import YOLO
from ultralytics.cfg import DEFAULT_CFG_DICT, get_cfg, get_save_dir, smart_value
from ultralytics.nn import tasks
from ultralytics.utils import LOGGER, YAML
from ultralytics.utils.checks import check_yaml

from optimize.dataset import Dataset, check_apart
from optimize.errors import InputError, described
from optimize.host.confined import confined
from optimize.texts import shown
from optimize.yolo import checkpoint
from optimize.yolo.dataset import resolve
from optimize.yolo.device import check_device
from optimize.yolo.progress import stdout_to_stderr
from optimize.yolo.trainers import check_fit, check_kind, set_classes, trainer
from optimize.yolo.widths import check_shapes, is_pruned

# Those of `yolo train` with their defaults; what is done and the task are known.
KEYS = {key: value for key, value in DEFAULT_CFG_DICT.items() if key not in ("task", "mode")} | {"save_dir": None}
COLOUR = re.compile(r"(\x1b\[[0-9;]*m)")
FILES = {"model", "data", "project", "name", "save_dir", "cfg", "distill_model", "pretrained", "resume"}


@dataclass(frozen=True)
class Trained:
    """What a training left.

    Attributes:
        weights: best.pt, with the best accuracy on the validation images, and last.pt; the first is missing where no
            accuracy is a number.
        parameters: of the network, before and after; they differ only where the data has other classes.
    """

    weights: tuple[Path, ...]
    parameters: tuple[int, int]


class _Spelled(logging.Formatter):
    """Names in what ultralytics logs are text: only its own colours reach the terminal."""

    def format(self, record: logging.LogRecord) -> str:
        return "\n".join(map(_spelled, super().format(record).split("\n")))


def _spelled(line: str) -> str:
    return "".join(part if COLOUR.fullmatch(part) else shown(part) for part in COLOUR.split(line))


def spell_out_controls() -> None:
    """From now on, in what ultralytics logs."""
    for handler in LOGGER.handlers:
        handler.setFormatter(_Spelled())


def read_value(key: str, text: str) -> object:
    """What `yolo train` makes of a value; what names a file is taken as it stands."""
    value = smart_value(text)
    return value if key not in FILES or isinstance(value, str | bool | None) else text


def read_file(cfg: str) -> dict[str, object]:
    """The arguments in a yaml given as `cfg`.

    Raises:
        InputError: it can't be read, or holds a key that is unknown.
    """
    try:
        arguments = YAML.load(check_yaml(cfg))
    except Exception as error:  # whatever a path or a yaml can be wrong in
        raise InputError(f"cfg={cfg} can't be read ({described(error)}); give a yaml of training arguments.") from error
    arguments = {key: value for key, value in arguments.items() if key not in ("task", "mode", "cfg")}
    if unknown := arguments.keys() - KEYS.keys():
        raise InputError(f"cfg={cfg} has the key {min(unknown)}, which is none of `yolo train`; remove it.")
    return arguments


@stdout_to_stderr()
def train_on(path: Path, given: dict[str, object]) -> Trained:
    """Train `path` as `yolo train` does, and check that no width of a pruned checkpoint was changed.

    Args:
        path: a checkpoint; with `resume` the last.pt of a training that was stopped.
        given: the arguments of `yolo train`, by their names.

    Raises:
        InputError: something given can't be used, or would overwrite files.
        MeasurementError: the trained network has other shapes than the checkpoint.
        KeyboardInterrupt: its text says what is kept.
    """
    start = checkpoint.load(path)
    check_kind(start, f"model={path}")
    data = given.get("data")
    if given.get("resume"):
        _check_unfinished(path)
        data = data or start.args["data"]
        if given.get("save_dir"):
            raise InputError("save_dir= can't be given with resume=true, which goes on in the folder of last.pt.")
        _check_resumed(start)
        given = given | {"save_dir": str(path.resolve().parents[1])}  # not where it was begun, if it was moved since
    if not data:
        raise InputError("data= is missing; give the data.yaml (for classification the folder) to train on.")
    dataset = resolve(str(data), checkpoint.task(start))
    given = given | {"data": str(dataset.yaml)}
    _check_arguments(given, start.task, dataset)
    before, pruned = _parameters(start), is_pruned(start) is not False
    if pruned:
        check_fit(start, f"model={path}", 3, dataset.keypoints)
        single = given.get("single_cls", start.args["single_cls"])  # ultralytics keeps it from the checkpoint
        set_classes(start, 1 if single else len(dataset.names))
    with confined(tasks.SAFE_LOAD), nullcontext() if given.get("resume") else checkpoint.without_quantizers():
        yolo = YOLO(str(path))
    try:
        yolo.train(trainer=trainer, **given)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(_kept(yolo)) from None
    weights = tuple(file for file in (yolo.trainer.best, yolo.trainer.last) if file.is_file())
    trained = [checkpoint.load(file) for file in weights]
    if pruned:
        for model in trained:
            check_shapes(start, model)
    return Trained(weights, (before, _parameters(trained[-1])))


def _kept(yolo: YOLO) -> str:
    if yolo.trainer is None or not yolo.trainer.last.is_file():
        return "no epoch was finished."
    return f"`python -m optimize.train model={yolo.trainer.last} resume=true` goes on after the last finished epoch."


def _parameters(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


def _check_unfinished(path: Path) -> None:
    _, beside = checkpoint.read(path)
    if (
        path.name != "last.pt"
        or path.resolve().parent.name != "weights"
        or beside.get("epoch", -1) < 0
        or beside.get("optimizer") is None
    ):
        raise InputError(
            f"model={path} is no last.pt of a training that was stopped, so nothing can be resumed; leave resume out "
            "to begin a new training with it."
        )


def _check_resumed(start: tasks.BaseModel) -> None:
    """What a checkpoint itself asks a training to load, and the command line doesn't show."""
    if not tasks.SAFE_LOAD:
        return
    teacher = start.args.get("distill_model")
    if start.args.get("augmentations") or (teacher and not Path(str(teacher)).is_file()):
        what = "augmentations" if start.args.get("augmentations") else f"distill_model={teacher}"
        raise InputError(
            f"the checkpoint asks its training for {what}, which could load any code or address; add trust=true, for a "
            "file whose maker you trust, or begin a new training without resume."
        )


def _check_arguments(given: dict[str, object], task: str, dataset: Dataset) -> None:
    """All that can be known before anything is written."""
    try:
        arguments = get_cfg(overrides=given | {"task": task, "mode": "train"})
    except (TypeError, ValueError, AssertionError) as error:
        raise InputError(str(error).splitlines()[0]) from error
    check_device(arguments.device)
    for key in ("pretrained", "distill_model"):
        file = given.get(key)
        if isinstance(file, str) and Path(file).suffix in (".pt", ".yaml") and not Path(file).exists():
            raise InputError(f"{key}={file} does not exist; give a .pt checkpoint, or leave {key} out.")
    folder = get_save_dir(arguments)
    check_apart(f"{folder}, where the training would write,", folder, dataset)
    if arguments.resume or not (arguments.exist_ok or given.get("save_dir")):
        return  # it goes on in its own folder, or makes one
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise InputError(f"{folder} holds files, which a training would overwrite; give another name= or project=.")
