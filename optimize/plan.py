"""Everything that a run needs, in one record."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from optimize.dataset import Dataset
from optimize.device.device import Device
from optimize.judge import Judge
from optimize.limits import Limits
from optimize.provenance import Provenance
from optimize.quant.stage import PrecisionStage
from optimize.runtime.session import Runtime
from optimize.stage import Stage
from optimize.variant import Variant

if TYPE_CHECKING:
    from optimize.mix.mix import Mix


@dataclass(frozen=True)
class Plan:
    """Everything a run needs, built and checked before any work starts.

    Attributes:
        original: the checkpoint to start from.
        data: where to train, calibrate and validate.
        shrink: the stages that make the pruned model, in order; a stage with nothing to do changes nothing.
        precisions: stages that each convert an exported float32 model to one more precision.
        quant: the requested precision besides float32; None for none.
        qat: the stage that trains a model whose int8 loses more than allowed; None where nothing may be trained.
        runtimes: those that every model is exported to and measured in, besides torch.
        judge: measures accuracy and latency.
        store: the folder of finished work, shared by all runs.
        provenance: where the report's figures come from.
        rivals: other checkpoints to measure, besides the original at a smaller input; None for no rivals.
        train_rivals: whether rivals at equal time are also trained, for as long as the pruned model.
        limits: hard constraints, each optional.
        device: the device for which the report states lower bounds of latency; None for none.
        nms_free: the stage that keeps the head that needs no NMS; None where it wasn't asked for.
        batches, streams: images of a call and calls at once for which throughput is measured; no batches for none.
        mix: chooses input, share and precision for a limit of time, and gives the stages instead of `shrink`, which
            then prunes nothing; None where the share is given.
    """

    original: Variant
    data: Dataset
    shrink: tuple[Stage, ...]
    precisions: tuple[PrecisionStage, ...]
    quant: str | None
    qat: Stage | None
    runtimes: tuple[Runtime, ...]
    judge: Judge
    store: Path
    provenance: Provenance
    rivals: tuple[Variant, ...] | None = None
    train_rivals: bool = False
    limits: Limits = Limits()  # noqa: RUF009  it is frozen
    device: Device | None = None
    mix: "Mix | None" = None
    nms_free: Stage | None = None
    batches: tuple[int, ...] = ()
    streams: tuple[int, ...] = (1,)
