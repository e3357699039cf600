"""The records of one variant's measurements, and of a whole run."""

from dataclasses import dataclass, field, replace
from pathlib import Path

from optimize.dataset import LeftOut
from optimize.device.device import Device
from optimize.limits import Limits
from optimize.measure.accuracy import Accuracy
from optimize.measure.cost import Cost
from optimize.measure.disagreement import Disagreement
from optimize.measure.frames import FrameTime
from optimize.measure.graph_cost import GraphCost
from optimize.measure.latency import Latency
from optimize.measure.profile import Profile
from optimize.measure.roofline import Machine
from optimize.measure.start_up import StartUp
from optimize.measure.throughput import Rate
from optimize.measurement import Measurement
from optimize.precision import Precision
from optimize.provenance import Provenance
from optimize.runtime_info import RuntimeInfo
from optimize.variant import Variant
from optimize.work import Quantized, Work


@dataclass(frozen=True)
class Result:
    """One row of the report.

    Attributes:
        variant: the measured variant, with its path in the run's folder.
        runtime, precision: the records of those that `variant` names.
        sha256: of the artefact.
        size_bytes: of the artefact on disk.
        cost: operations and bytes counted in torch on the fused graph that the artefact was made from.
        graph: the same, counted on the exported artefact; None for a checkpoint, which is not exported.
        accuracy: on the images of the report, `Provenance.accuracy_on`.
        latency: None where it was not measured.
        quantization: the record of its quantization; None where it was not quantized.
        profile: time by layer; None where the runtime reports none.
        choice: accuracy on the images that choices are made on, for rows that a search chooses by; None for others, and
            where these are the images of the report.
        whole: accuracy on all images of the report, `Provenance.whole`, where `accuracy` is on a part of them; None for
            rows that were not validated on all, and where `accuracy` is on all.
        rival: whether it is an alternative to optimizing: the original at a smaller input, or another model.
        frame: time of a whole frame by stage; None where it was not measured, as of tasks that no bundle decodes.
        throughput: images per second by batch and streams, where that was asked for.
        start_up: what a new process needs to open the file; None where it was not measured, as in torch.
    """

    variant: Variant
    runtime: RuntimeInfo
    precision: Precision
    sha256: str
    size_bytes: int
    cost: Cost
    graph: GraphCost | None
    accuracy: Accuracy
    latency: Latency | None
    quantization: Quantized | None = None
    profile: Profile | None = None
    rival: bool = False
    choice: Accuracy | None = None
    whole: Accuracy | None = None
    frame: FrameTime | None = None
    start_up: StartUp | None = None
    throughput: tuple[Rate, ...] = ()

    @property
    def path(self) -> Path:
        """The file or folder to deploy."""
        return self.variant.path

    @property
    def choice_accuracy(self) -> Accuracy:
        """The accuracy by which a search may choose."""
        return self.choice or self.accuracy

    @property
    def artefact(self) -> tuple[str, str, str]:
        """Identifies the row, as in `Measurement`; a bf16 row has the same file as its fp32 row."""
        return self.sha256, self.variant.runtime, self.variant.precision

    @property
    def time(self) -> Latency:
        """The latency of a row that was timed.

        Raises:
            ValueError: it was not.
        """
        if self.latency is None:
            raise ValueError(f"{self.variant.name} on {self.variant.runtime} was not timed")
        return self.latency

    @property
    def float_ops(self) -> int:
        return self.graph.float_ops if self.graph else self.cost.flops

    @property
    def int_ops(self) -> int:
        """Operations that the file asks for in int8; `int8_share` tells what ran."""
        return self.graph.int_ops if self.graph else 0

    @property
    def missed(self) -> str | None:
        """The sentence on a quantized file that loses more than `quant.max_drop`; None for all others."""
        if self.quantization is None or self.quantization.reached:
            return None
        decided_on = self.quantization.decided_on
        where = f" on the {decided_on} that this is decided on" if decided_on else ""
        return (
            f"{self.variant.name} on {self.variant.runtime} loses {self.quantization.drop:.1f} points of "
            f"{self.accuracy.metric} at best{where}, quant.max_drop={self.quantization.max_drop} is allowed; raise "
            "quant.max_drop, train for int8 with epochs= and recover=[bn,finetune,qat], or use quant=fp16."
        )

    @property
    def flops(self) -> int:
        """All operations, two per multiply-add, in float and integer arithmetic."""
        return self.float_ops + self.int_ops

    @property
    def macs(self) -> int:
        """Multiply-adds."""
        return self.flops // 2

    @property
    def int8_share(self) -> float | None:
        """The share of `flops` that the compiled model executes in int8; None where it was not measured."""
        if self.latency is None or self.latency.int8_ops is None:
            return None
        return self.latency.int8_ops / self.flops


@dataclass(frozen=True)
class Failure:
    """A variant that could not be made or measured, and the reason as a sentence."""

    name: str
    runtime: str
    sentence: str


@dataclass(frozen=True)
class Report:
    """All results of a run, as they are kept in results.json.

    Attributes:
        results: the rows: first torch, then runtime by runtime; within each the original first, rivals last.
        alone: whether each file was timed in a process of its own; False before timing, and in reports of versions up
            to 0.3, which timed all files in one process.
        noise: distance from 1 of the paired ratio of one artefact timed against itself (A/A); None before timing.
        noise_spread: half the distance between the quartiles of these ratios.
        stages: records of the stages that made the pruned model, in order.
        quant: the requested precision besides float32; None for none.
        provenance: where the figures come from.
        failures: variants that are missing.
        limits: hard constraints, each optional.
        blocks: kind of every top-level module of the network, e.g. `{"model.2": "C2f"}`, in order.
        machine: measured peaks of this machine; None where they were not measured.
        disagreement: images where original and optimized model differ most; None where nothing was compared.
        measurements: imported from other machines; no figure above depends on them.
        left_out: images of the data set that ultralytics does not use.
        device: the device whose lower bounds are stated; None where none was given.
        unfinished: why the run ended before everything was measured; None where it is complete.
    """

    results: tuple[Result, ...]
    noise: float | None
    noise_spread: float | None
    stages: tuple[Work, ...]
    provenance: Provenance
    quant: str | None = None
    failures: tuple[Failure, ...] = ()
    limits: Limits = Limits()  # noqa: RUF009  it is frozen
    blocks: dict[str, str] = field(default_factory=dict)
    machine: Machine | None = None
    disagreement: Disagreement | None = None
    measurements: tuple[Measurement, ...] = ()
    device: Device | None = None
    left_out: tuple[LeftOut, ...] = ()
    unfinished: str | None = None
    alone: bool = False

    @property
    def concluded(self) -> "Report":
        """The rows that were validated on all images, with these accuracies; the report itself where every row was.

        The verdict is over these: accuracies of a part of the images and of all of them are never compared.
        """
        if self.results[0].whole is None:
            return self
        rows = (replace(row, accuracy=row.whole, whole=None) for row in self.results if row.whole)
        return replace(self, results=tuple(rows))

    @property
    def timed(self) -> list[tuple[Result, Latency]]:
        """The rows that were timed, each with its latency."""
        return [(row, row.latency) for row in self.results if row.latency is not None]

    @property
    def missed(self) -> tuple[str, ...]:
        """A sentence for each quantized variant that loses more than `quant.max_drop`, rivals excepted."""
        return tuple(result.missed for result in self.results if result.missed and not result.rival)
