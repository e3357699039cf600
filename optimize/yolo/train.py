"""Win accuracy back: train a pruned checkpoint for a few epochs, with its widths kept, inside a stage."""

import csv
import logging
import os
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path

import torch
from ultralytics.nn import tasks
from ultralytics.nn.tasks import BaseModel
from ultralytics.utils.torch_utils import unwrap_model

from optimize.errors import InputError
from optimize.host.files import move
from optimize.host.quiet import away
from optimize.input_size import Size
from optimize.progress import bar
from optimize.yolo import (
    checkpoint,
    read_only,  # noqa: F401  replaces what writes into a data set
    resume,
)
from optimize.yolo.progress import stdout_to_stderr
from optimize.yolo.tasks import BY_NAME
from optimize.yolo.trainers import KeepWidths, one_per_task
from optimize.yolo.widths import check_shapes

log = logging.getLogger(__name__)

# What defines the task and the images a user trained with. A model of digits was trained without flips, and a
# recovery that flips them would teach it something else, so these come from the checkpoint; the schedule is ours.
CARRIED = (
    *("hsv_h", "hsv_s", "hsv_v", "bgr", "degrees", "translate", "scale", "shear", "perspective", "flipud", "fliplr"),
    *("mosaic", "mixup", "cutmix", "copy_paste", "copy_paste_mode", "auto_augment", "erasing", "augmentations"),
    *("multi_scale", "overlap_mask", "mask_ratio", "dropout", "single_cls"),
    *("box", "cls", "cls_pw", "dfl", "pose", "kobj", "rle", "angle", "dlog", "dgrad", "dlam"),
)

# Our own in every training; amp's check would download a model.
FIXED = {"amp": False, "plots": False, "exist_ok": True, "deterministic": True}


class Recovery(KeepWidths):
    """Mixin before a task's trainer: it can go on bit for bit, and trains the head that is deployed."""

    last: Path  # last.pt, set by ultralytics

    def get_model(self, cfg=None, weights: BaseModel | None = None, verbose: bool = True) -> BaseModel:
        """The module of the checkpoint.

        Raises:
            InputError: it is fused, or its classes are not those of the data.
        """
        if weights is not None and len(weights.names) != self.data["nc"]:
            raise InputError(
                f"model={self.args.model} has {len(weights.names)} classes and data={self.args.data} has "
                f"{self.data['nc']}; give data with the classes that the model was trained on."
            )
        return super().get_model(cfg, weights, verbose)

    def _setup_train(self) -> None:
        """Hold the weights of YOLO26's two heads where a training begins.

        ultralytics lowers that of the one-to-many head from 0.8 to 0.1 over a training, in favour of the other; we
        deploy the one-to-many head.
        """
        super()._setup_train()
        model = unwrap_model(self.model)
        criterion = model.init_criterion()
        if hasattr(criterion, "update"):
            criterion.update = lambda: None
            model.criterion = criterion

    def _model_train(self) -> None:
        super()._model_train()
        resume.begin_epoch(self)

    def resume_training(self, ckpt: dict | None) -> None:
        """Called when everything is set up: go on after the last complete epoch of a killed call."""
        resume.restore(self)

    def save_model(self) -> bool:
        """Write last.pt beside its place and rename it, since a kill while it is written would leave half a file."""
        last: Path = self.last
        self.last = last.with_name("writing.pt")
        saved = super().save_model()
        move(self.last, last)
        self.last = last
        resume.keep(self)
        return saved

    def final_eval(self) -> None:
        """Nothing: the caller takes last.pt, and the pipeline measures the model as it is deployed."""


TRAINERS = one_per_task(Recovery, __name__)
globals().update((kind.__name__, kind) for kind in TRAINERS.values())


@dataclass(frozen=True)
class Training:
    """A finished training.

    Attributes:
        path: the checkpoint: float16 as `yolo train` leaves its own, unfused, without the optimizer.
        history: the rows of ultralytics' results.csv, one per epoch: losses, metrics and learning rates by name.
        schedule: the training arguments that are ours, by ultralytics' names.
        seconds: training time, over all calls that it took.
        resumed: whether an earlier call was interrupted and this one went on from its last epoch.
    """

    path: Path
    history: tuple[dict[str, float], ...]
    schedule: dict[str, bool | int | float | str]
    seconds: float
    resumed: bool


def schedule(epochs: int, batch: int, cut: float) -> dict[str, bool | int | float | str]:
    """The training arguments that follow from the number of epochs and the share of the FLOPs that was cut.

    Large steps help after a deep cut, and few epochs don't lead back from where they take a network that was hardly
    cut. So the learning rate rises with the epochs up to ten, and beyond half of the FLOPs in inverse proportion to
    what is left of them, up to four times (docs/pruning.md).
    """
    rate = min(max(0.0003, 0.0001 * epochs), 0.001)
    return {
        "optimizer": "AdamW",
        "lr0": round(rate * min(max(1.0, 0.5 / (1 - cut)), 4.0), 6),
        "lrf": 0.01,
        "momentum": 0.9,
        "weight_decay": 0.0005,
        "cos_lr": True,
        "warmup_epochs": 0.5,
        "warmup_bias_lr": 0.0,
        "nbs": batch,
        # The last epochs of any training see whole images, and a recovery is nothing but last epochs.
        "close_mosaic": epochs,
        "patience": 0,
    }


# Instead, where int8 is simulated. The gradient of rounding is a guess, so its steps are a tenth: 0.594 in int8 after
# two epochs on bccd, 0.583 with whole steps. The ranges are set once, by images that are loaded before `close_mosaic`
# acts, so these must be whole from the start.
QUANTIZED = {"quantize": 8, "lr0": 0.0001, "mosaic": 0.0, "mixup": 0.0, "cutmix": 0.0, "copy_paste": 0.0}


def finetune(
    path: Path,
    data: Path,
    folder: Path,
    *,
    epochs: int,
    imgsz: Size,
    batch: int,
    device: str | None,
    seed: int,
    cut: float = 0.0,
    teacher: Path | None = None,
    quantize: bool = False,
) -> Training:
    """Train the checkpoint `path` for `epochs` and write `folder`/finetuned.pt, whose architecture is that of `path`.

    An earlier call with the same arguments that was killed is taken up again after its last complete epoch, and ends
    as if it had not been killed. The weights are the moving average after the last epoch, not those of the best:
    choosing by the validation images would flatter every number measured on them later.

    Args:
        path: an unfused checkpoint, pruned or not.
        data: the data.yaml.
        folder: keeps the state of a killed call.
        epochs: at least 1; the schedule follows from it and from `cut`.
        imgsz: of the input; ultralytics trains on squares, whose side is the longer one here.
        batch: images per step, over all devices.
        device: as in ultralytics, e.g. `cpu`, `0` or `0,1`.
        seed: equal seeds give equal weights on one machine.
        cut: share of the original's FLOPs that is gone in `path`, in 0..1.
        teacher: a checkpoint to distill from with ultralytics' `distill_model`, or None.
        quantize: simulate int8 while training; what is written holds no trace of it.

    Raises:
        InputError: the checkpoint is fused or the data has another number of classes.
        MeasurementError: the trained model has other shapes than the checkpoint.
    """
    start = checkpoint.load(path)
    ours = schedule(epochs, batch, cut) | (QUANTIZED if quantize else {})
    run = folder / "train"
    last = run / "weights" / "last.pt"
    done = resume.epochs_done(last.parent)
    if done < epochs:
        given = {
            "data": str(data),
            "epochs": epochs,
            "imgsz": imgsz.longer,
            "batch": batch,
            "device": device,
            "seed": seed,
        }
        task_and_model = {"task": start.task, "mode": "train", "model": str(path), "save_dir": str(run)}
        overrides = _carried(start) | ours | task_and_model | given | FIXED
        if teacher:
            overrides["distill_model"] = str(teacher)
        _train(checkpoint.task(start), overrides)
    trained = _student(last)
    check_shapes(start, trained)
    trained.args = start.args
    result = folder / "finetuned.pt"
    checkpoint.save(trained, result, half=True)
    history = _history(run / "results.csv")
    return Training(result, history, ours, _seconds(history), resumed=0 < done < epochs)


def _carried(model: BaseModel) -> dict[str, object]:
    """Of `augmentations`, which name classes for albumentations, only those of a trusted checkpoint."""
    keys = [key for key in CARRIED if key in model.args and model.args[key] is not None]
    if "augmentations" in keys and tasks.SAFE_LOAD:
        log.warning(
            "the checkpoint was trained with augmentations of its own, which name classes for albumentations, so they "
            "are left out; trust=true trains with them, for a file whose maker you trust"
        )
        keys.remove("augmentations")
    return {key: model.args[key] for key in keys}


def _train(task: str, overrides: dict[str, object]) -> None:
    with ExitStack() as stack, stdout_to_stderr():
        job = TRAINERS[task](overrides=overrides)
        torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))  # its constructor leaves one core idle
        if not job.ddp:  # the workers of several GPUs print ultralytics' own log
            job.add_callback("on_train_start", partial(_show_steps, stack))
            job.add_callback("on_train_epoch_start", _let_others_time)
            metric, key = next(iter(BY_NAME[task].metrics.items()))
            job.add_callback("on_fit_epoch_end", partial(_say_epoch, metric, key))
        job.train()


def _student(last: Path) -> BaseModel:
    """The model that was trained, without its teacher and the hooks that read its features."""
    trained, _ = checkpoint.read(last)
    trained = getattr(trained, "student_model", trained)
    for module in trained.modules():
        module._forward_hooks.clear()
    return trained


def _show_steps(stack: ExitStack, trainer) -> None:
    steps = (trainer.epochs - trainer.start_epoch) * len(trainer.train_loader)
    tick = stack.enter_context(bar("fine-tuning", steps))
    trainer.add_callback("on_train_batch_end", tick(lambda trainer: None))


def _let_others_time(trainer) -> None:
    """A training can take hours, and who waits to time something is let in between two epochs."""
    with away():
        pass


def _say_epoch(metric: str, key: str, trainer) -> None:
    epoch, score = trainer.epoch + 1, trainer.metrics[key]
    left = (trainer.epochs - epoch) * trainer.epoch_time
    log.info("epoch %d of %d: %s %.4f on validation, %d s left", epoch, trainer.epochs, metric, score, left)


def _history(results: Path) -> tuple[dict[str, float], ...]:
    """The rows of results.csv."""
    with results.open(newline="", encoding="utf-8") as stream:
        return tuple({key.strip(): float(value) for key, value in row.items()} for row in csv.DictReader(stream))


def _seconds(history: tuple[dict[str, float], ...]) -> float:
    """The clock of results.csv starts again with every call."""
    clock = [0.0, *(row["time"] for row in history)]
    return sum(now - before if now > before else now for before, now in pairwise(clock))
