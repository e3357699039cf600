"""Everything that a run needs, in one record."""

from dataclasses import dataclass
from pathlib import Path

from optimize.dataset import Dataset
from optimize.device.device import Device
from optimize.judge import Judge
from optimize.limits import Limits
from optimize.provenance import Provenance
from optimize.quant.stage import PrecisionStage
from optimize.runtime.session import Runtime
from optimize.stage import Stage
from optimize.variant import Variant


@dataclass(frozen=True)
class Plan:
    """Everything a run needs, built and checked before any work starts.

    Attributes:
        original: the checkpoint to start from.
        data: where to train, calibrate and validate.
        shrink: the stages that make the pruned model, in order; those with nothing to do return the variant as it is.
        precisions: stages of which each makes one more precision of an exported float32 model.
        quant: the precision that was asked for beside float32; None for none.
        qat: the stage that trains a model whose int8 loses more than allowed; None where nothing may be trained.
        runtimes: where every model is exported to and measured, beside torch.
        judge: measures accuracy and latency.
        store: where finished work lies, shared by all runs.
        provenance: where the report's figures come from.
        rivals: other checkpoints to measure, beside the original at a smaller input; None for no rival at all.
        limits: what the user can't do without.
        device: where the report states what each model takes at least; None for nowhere.
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
    limits: Limits = Limits()  # noqa: RUF009  it is frozen
    device: Device | None = None
