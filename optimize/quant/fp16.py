"""fp16 weights, and fp16 arithmetic where the runtime has it."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from optimize.identity import OUTSIDE
from optimize.judge import Judge
from optimize.precision import Precision
from optimize.quant.stage import why_no_writer, write
from optimize.runtime.session import Runtime
from optimize.variant import Variant


@dataclass(frozen=True)
class Fp16:
    """Effect: half the size. The runtime decides whether it computes in fp16, see `Session.arithmetic`.

    On x86 CPUs ONNX Runtime and OpenVINO store fp16 and compute in fp32. The box decoding of the head stays in float32,
    since fp16 can't hold a pixel's fraction beyond 2048.

    Attributes:
        judge: gives the runtime of a variant.
    """

    precision: ClassVar = Precision("fp16", bytes=2, computes=("fp16", "fp32"), fill=0.4)

    judge: Judge = field(repr=False, metadata=OUTSIDE)

    def why_not(self, runtime: Runtime) -> str | None:
        return why_no_writer(self.precision, runtime)

    def __call__(self, variant: Variant, folder: Path) -> Variant:
        return write(self.precision, self.judge.runtime(variant), variant, folder)
