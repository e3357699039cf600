"""The stages that make the pruned model, in order."""

from dataclasses import replace

from optimize.pruner.prune import Prune
from optimize.pruner.scan import Scan
from optimize.pruner.settings import Pruning
from optimize.recover.finetune import Finetune
from optimize.recover.qat import Qat
from optimize.stage import Stage


def shrink(pruning: Pruning, recovery: list[Stage]) -> tuple[Stage, ...]:
    """The stages that prune in `pruning.steps` equal cuts, each with its share of the epochs; QAT runs once, last.

    Where layers are chosen by what is measured, that is a stage of its own before each cut, which all shares share.
    """
    stages: list[Stage] = []
    qat = [stage for stage in recovery if isinstance(stage, Qat)]
    for step in range(1, pruning.steps + 1):
        if pruning.scope == "measured" and pruning.share and pruning.data is not None:
            stages.append(Scan(pruning.criterion, pruning.data, pruning.images, pruning.seed, pruning.device))
        stages.append(Prune(replace(pruning, share=pruning.share * step / pruning.steps)))
        stages += [_part(stage, step, pruning.steps) for stage in recovery if stage not in qat]
    return (*stages, *qat)


def _part(stage: Stage, step: int, steps: int) -> Stage:
    """The recovery stage after one of several cuts; a training gets its share of the epochs."""
    if not isinstance(stage, Finetune):
        return stage
    done = [stage.epochs * i // steps for i in (step - 1, step)]
    return replace(stage, epochs=done[1] - done[0])
