"""A runtime and precision that a model may be deployed in, and what the original takes there."""

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from torch import nn

from optimize.input_size import Size
from optimize.pruner.latency.deployment import Deployment
from optimize.pruner.latency.fit import fit
from optimize.pruner.latency.networks import deploy, traced
from optimize.pruner.latency.timing import steady, timed
from optimize.quant.stage import PrecisionStage
from optimize.store.apply import apply
from optimize.variant import Variant

ROUNDS, SECONDS = 20, 6.0  # of each timing of sizes, as of the attempts to meet a latency target


@dataclass(frozen=True)
class Way:
    """A deployment, and the stage that makes its precision; None for float32."""

    deployment: Deployment
    stage: PrecisionStage | None

    def __str__(self) -> str:
        return str(self.deployment)

    @property
    def elsewhere(self) -> bool:
        """Whether its times come from a table of another device, so that the clock of this machine says nothing."""
        return self.deployment.samples is not None

    def file(self, variant: Variant) -> Variant:
        """The checkpoint `variant` as it is deployed."""
        exported = apply(self.deployment.runtime.export, variant, self.deployment.store)
        converted = apply(self.stage, exported, self.deployment.store) if self.stage else exported
        return apply(self.deployment.runtime.build, converted, self.deployment.store)


def predicted(way: Way, original: nn.Module, size: Size) -> float:
    """Milliseconds of `original` at `size` by the table of another device."""
    assert way.deployment.samples
    samples = way.deployment.samples
    fitted = fit(samples).at(size.pixels / samples.imgsz.pixels)
    return fitted.milliseconds(traced(original, samples.imgsz).full)


def times_at(
    way: Way, original: nn.Module, full: Size, milliseconds: float, sizes: list[Size], seed: int
) -> dict[Size, float]:
    """Milliseconds of `original` at each of `sizes`, where it takes `milliseconds` at the size `full`.

    They are timed in turns with it; an int8 file gets the ranges of noise, on which its time doesn't depend.

    Raises:
        MeasurementError: processes of one file differ too much to tell, or a file can't be timed.
    """
    if way.elsewhere:
        return {size: predicted(way, original, size) for size in sizes}
    runtime, precision, cpu = way.deployment.runtime, way.deployment.precision, way.deployment.int8_cpu
    with TemporaryDirectory() as folder:
        files = [
            deploy(original, runtime, precision, size, Path(folder, str(number)), cpu)
            for number, size in enumerate([full, *sizes])
        ]
        shares = steady(lambda: timed(runtime, files, way.deployment.threads, seed, ROUNDS, SECONDS)).shares
    return {size: milliseconds * share for size, share in zip(sizes, shares, strict=True)}
