"""What a stage says of its work: a record, written as report.json beside what it made, and kept in results.json."""

from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import Discriminator, Field, Tag, TypeAdapter

from optimize.input_size import StoredSize
from optimize.int8_cpu import Kind
from optimize.latency_work import EXACT, Count, Mixed, TimeTarget

Before = Count
After = Count


@dataclass(frozen=True)
class LayerChange:
    """One convolution or linear layer before and after.

    Attributes:
        name: of the module, in the unfused model.
        width: output channels.
        flops: of one image in the deployed graph; 0 for a layer that only trains.
        parameters: in the deployed graph.
        dense: why no channel was removed; empty where some were.
    """

    __pydantic_config__ = EXACT

    name: str
    width: tuple[Before, After]
    flops: tuple[Before, After]
    parameters: tuple[Before, After]
    dense: str


@dataclass(frozen=True)
class Pruned:
    """What pruning did.

    Attributes:
        target: what was to shrink: `flops`, `params`, `channels` or `latency`.
        asked: share of it that was to be gone, of the original's.
        reached: share that is gone, counted on the deployed models; of the latency as timed, or with a table of another
            device as predicted.
        flops: FLOPs (2 per multiply-add) of one image through the deployed model, before and after this cut.
        parameters: of the deployed model, before and after this cut.
        ratio: share of the removable channels at which the search ended; None for `measured`.
        seconds: how long it took; where layers were measured, without their scan.
        imgsz, criterion, scope, round_to, max_ratio, min_width, protect: the settings.
        layers: every layer, in the order in which they run.
        time: how a latency target was met; None for other targets.
    """

    __pydantic_config__ = EXACT

    target: str
    asked: float
    reached: float
    flops: tuple[Before, After]
    parameters: tuple[Before, After]
    ratio: float | None
    seconds: float
    imgsz: StoredSize
    criterion: str
    scope: str
    round_to: Count
    max_ratio: float
    min_width: Count
    protect: tuple[str, ...]
    layers: tuple[LayerChange, ...]
    time: TimeTarget | None = None
    stage: Literal["prune"] = "prune"


@dataclass(frozen=True)
class Scanned:
    """What was measured to choose layers by: on how many images, in how many trials, and the seconds that it took."""

    __pydantic_config__ = EXACT

    images: Count
    trials: Count
    seconds: float
    stage: Literal["scan"] = "scan"


@dataclass(frozen=True)
class Reestimated:
    """New BatchNorm statistics: from how many images, and the seconds that it took."""

    __pydantic_config__ = EXACT

    images: Count
    seconds: float
    stage: Literal["batchnorm"] = "batchnorm"


@dataclass(frozen=True)
class Trained:
    """A training.

    Attributes:
        stage: `finetune`, or `qat` where int8 was simulated.
        epochs: that were asked for.
        distilled: whether the original taught.
        seconds: that it took, without those before it was killed.
        resumed: whether it went on where an earlier one was killed.
        schedule: arguments of ultralytics' trainer that follow from the epochs.
        history: losses and accuracies by name, for each epoch; None for what was not finite.
    """

    __pydantic_config__ = EXACT

    stage: Literal["finetune", "qat"]
    epochs: Count
    distilled: bool
    seconds: float
    resumed: bool
    schedule: dict[str, bool | int | float | str]
    history: tuple[dict[str, float | None], ...]


@dataclass(frozen=True)
class Calibration:
    """The images that int8 was calibrated with.

    Attributes:
        images: how many.
        source: of which data set and split.
        seed: that chose them.
        images_by_class: how many show each class.
        without_labels: how many have none.
    """

    __pydantic_config__ = EXACT

    images: Count
    source: str
    seed: Annotated[int, Field(gt=-(10**18), lt=10**18)]
    images_by_class: dict[str, Count]
    without_labels: Count


@dataclass(frozen=True)
class Candidate:
    """A recipe that was tried.

    Attributes:
        recipe: its name.
        drop: points that it loses against float32.
        faster: how many times as fast as float32 it is; None where recipes were not timed.
    """

    __pydantic_config__ = EXACT

    recipe: str
    drop: float
    faster: float | None


@dataclass(frozen=True)
class FloatLayer:
    """A layer that returned to float: points that are still lost then, and the share of time that it costs."""

    __pydantic_config__ = EXACT

    layer: str
    drop: float
    slower: float


@dataclass(frozen=True)
class Quantized:
    """What a quantization that looks at its own accuracy says.

    Attributes:
        recipe: the one that was taken; None where there is but one way.
        cpu: the kind of CPU that it was taken for, see `int8_cpu.KINDS`; None in records of versions up to 0.3.
        drop: points (0.01) of the task's main metric lost against the float32 file in the same runtime, on the images
            that choices are made on; the report's accuracies are of others, where there are enough.
        max_drop: points that were allowed.
        reached: whether that holds.
        seconds: that it took; None where it was not measured.
        calibration: with which images; None where it needs none.
        candidates: the recipes, where more than one was tried.
        float_layers: in the order in which they returned to float; None where nothing had to.
        decided_on: these images in words; None in records of versions up to 0.3, which took those of the report.
    """

    __pydantic_config__ = EXACT

    drop: float
    max_drop: float
    reached: bool
    recipe: str | None = None
    seconds: float | None = None
    calibration: Calibration | None = None
    candidates: tuple[Candidate, ...] = ()
    float_layers: tuple[FloatLayer, ...] | None = None
    decided_on: str | None = None
    cpu: Kind | None = None
    stage: Literal["quantize"] = "quantize"


@dataclass(frozen=True)
class Done:
    """A stage that says no more than its name."""

    __pydantic_config__ = EXACT

    stage: str


def _kind(content: Any) -> str:
    stage = content.get("stage") if isinstance(content, dict) else getattr(content, "stage", None)
    known = {
        "mix": "mix",
        "scan": "scan",
        "prune": "prune",
        "batchnorm": "batchnorm",
        "finetune": "train",
        "qat": "train",
        "quantize": "quantize",
    }
    return known.get(str(stage), "done")


Work: TypeAlias = Annotated[
    Annotated[Mixed, Tag("mix")]
    | Annotated[Scanned, Tag("scan")]
    | Annotated[Pruned, Tag("prune")]
    | Annotated[Reestimated, Tag("batchnorm")]
    | Annotated[Trained, Tag("train")]
    | Annotated[Quantized, Tag("quantize")]
    | Annotated[Done, Tag("done")],
    Discriminator(_kind),
]
WORK: TypeAdapter[Work] = TypeAdapter(Work)
