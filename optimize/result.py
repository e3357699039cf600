"""Everything that was measured of one variant, and of one run."""

from dataclasses import dataclass

from optimize.measure.accuracy import Accuracy
from optimize.measure.cost import Cost
from optimize.measure.graph_cost import GraphCost
from optimize.measure.latency import Latency
from optimize.variant import Variant


@dataclass(frozen=True)
class Result:
    """One row of the report.

    Attributes:
        variant: what was measured, where it lies in the run's folder.
        sha256: of the artefact.
        size_bytes: of the artefact on disk.
        cost: operations and bytes counted in torch on the fused graph that the artefact came from.
        graph: the same counted on the exported artefact itself; None for a checkpoint, which is not exported.
        accuracy: on the validation split.
        latency: None where it was not measured.
        quantization: what the int8 stage says of its work: recipe, calibration, drop, layers left in float; else None.
    """

    variant: Variant
    sha256: str
    size_bytes: int
    cost: Cost
    graph: GraphCost | None
    accuracy: Accuracy
    latency: Latency | None
    quantization: dict | None = None

    @property
    def float_ops(self) -> int:
        return self.graph.float_ops if self.graph else self.cost.flops

    @property
    def int_ops(self) -> int:
        """Operations that the file asks for in int8; what ran is `int8_share`."""
        return self.graph.int_ops if self.graph else 0

    @property
    def missed(self) -> str | None:
        """What must be said of an int8 that loses more than `quant.max_drop`."""
        if self.quantization is None or self.quantization["reached"]:
            return None
        return (
            f"{self.variant.name} on {self.variant.runtime} loses {self.quantization['drop']:.1f} points of "
            f"{self.accuracy.metric} at best, quant.max_drop={self.quantization['max_drop']} is allowed; allow more, "
            "train for int8 with epochs= and recover=[bn,finetune,qat], or take quant=fp16."
        )

    @property
    def flops(self) -> int:
        """All operations, two per multiply-add, in whatever arithmetic."""
        return self.float_ops + self.int_ops

    @property
    def int8_share(self) -> float | None:
        """The share of `flops` that the compiled model executes in int8; None where it was not measured."""
        known = self.latency is not None and self.latency.int8_ops is not None
        return self.latency.int8_ops / self.flops if known else None


@dataclass(frozen=True)
class Report:
    """All rows of one run: first torch, then runtime by runtime; within each the original first.

    Attributes:
        results: the rows.
        noise: how far the paired ratio of one artefact timed against itself (A/A) lay from 1.
        noise_spread: half the distance between the quartiles of these ratios.
        stages: what the stages that made the pruned model say of their work, in order, each with its name as `stage`.
    """

    results: tuple[Result, ...]
    noise: float
    noise_spread: float
    stages: list[dict]

    @property
    def missed(self) -> tuple[str, ...]:
        """Limits that what was reached misses, a sentence each."""
        return tuple(result.missed for result in self.results if result.missed)
