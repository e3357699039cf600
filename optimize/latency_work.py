"""What the stages that aim at a time say of their work."""

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from optimize.input_size import StoredSize

EXACT = ConfigDict(extra="forbid", allow_inf_nan=False)
Count = Annotated[int, Field(ge=0, lt=10**18)]


@dataclass(frozen=True)
class TimeTarget:
    """How a latency target was met: by a table of what layers take, and by timing what it led to.

    Attributes:
        deployment: runtime and precision, e.g. `openvino-int8`.
        cpu, threads: where the table was measured.
        networks: timed for the table.
        noise: how far the processes of the original lay from their mean at most then, as a share.
        error, worst: of predictions of each of these but the original by all others, as a share: the median, and the
            largest.
        steps: how many layers compute so many channels at once, by that number.
        rest_ms: milliseconds of a call that no layer explains; negative where it takes less than its layers together.
        profiling: how many times as long layers take while they are profiled; None where the runtime has no profiler.
        predicted: share of the original's time that is gone, by the table.
        milliseconds: of the original and of what is left, timed in turns; None for a table of another device.
        attempts: choices of widths that were timed; 0 for a table of another device.
        by_blocks: share of the original's time that the removed blocks alone save, by the table; None in records of
            versions up to 0.3.
    """

    __pydantic_config__ = EXACT

    deployment: str
    cpu: str
    threads: Count
    networks: Count
    noise: float
    error: float
    worst: float
    steps: dict[str, Count]
    rest_ms: float
    profiling: float | None
    predicted: float
    milliseconds: tuple[float, float] | None
    attempts: Count
    by_blocks: float | None = None


@dataclass(frozen=True)
class DeploymentChoice:
    """A runtime and precision that a model could be deployed in to meet a limit of time.

    Attributes:
        deployment: e.g. `openvino-int8`.
        milliseconds: of the original at its own input.
        drop: percentage points that the precision loses there, on the images that choices are made on.
        expected: accuracy of the original at the input, between two sizes as a rule, at which it meets the limit; None
            where it was not considered: it is far slower than another, or its int8 loses more than allowed.
    """

    __pydantic_config__ = EXACT

    deployment: str
    milliseconds: float
    drop: float
    expected: float | None


@dataclass(frozen=True)
class SizeChoice:
    """An input size that a model could have to meet a limit of time.

    Attributes:
        imgsz: of the input.
        milliseconds: of the original there.
        share: of these that widths and blocks must save.
        untrained: accuracy of the original there, in float32, on the images that choices are made on.
        recovered: the same of the model that was cut and trained there, or trained alone where nothing had to be cut;
            None where the cut is out of reach, or nothing was cut or trained.
    """

    __pydantic_config__ = EXACT

    imgsz: StoredSize
    milliseconds: float
    share: float
    untrained: float
    recovered: float | None


@dataclass(frozen=True)
class Mixed:
    """Input size, share to prune and precision, as chosen for a limit of time.

    Attributes:
        limit_ms: the limit.
        aimed_ms: what was aimed at, a little less.
        cpu, threads: where it was timed.
        metric: name of the accuracy.
        decided_on: the images of these accuracies, in words.
        original: accuracy of the original at its own input, in torch, on these images.
        epochs: that candidates were trained for.
        deployments: what was considered, the fastest first.
        candidates: the same, the smallest input first; none where the original meets the limit.
        deployment, imgsz, share: what was chosen.
        trained: whether a model of which nothing is cut is trained at its input.
        seconds: how long it took.
    """

    __pydantic_config__ = EXACT

    limit_ms: float
    aimed_ms: float
    cpu: str
    threads: Count
    metric: str
    decided_on: str
    original: float
    epochs: Count
    deployments: tuple[DeploymentChoice, ...]
    candidates: tuple[SizeChoice, ...]
    deployment: str
    imgsz: StoredSize
    share: float
    trained: bool
    seconds: float
    stage: Literal["mix"] = "mix"
