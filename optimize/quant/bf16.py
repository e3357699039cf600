"""bf16 arithmetic where the runtime has it: it needs no calibration, and on a CPU with AMX is about as fast as int8."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from optimize.identity import OUTSIDE
from optimize.judge import Judge
from optimize.precision import Precision
from optimize.quant.stage import why_no_writer, write
from optimize.runtime.here import machine_name
from optimize.runtime.session import Runtime
from optimize.variant import Variant


@dataclass(frozen=True)
class Bf16:
    """Effect: the same file, opened with another hint, in runtimes that have bf16 on this CPU; no file elsewhere.

    Attributes:
        judge: gives the runtime of a variant.
        machine: part of the identity, since another machine that shares the store may have no bf16.
    """

    precision: ClassVar = Precision("bf16", bytes=2, computes=("bf16", "fp32"), requires=("bf16",), fill=0.4)

    judge: Judge = field(repr=False, metadata=OUTSIDE)
    machine: str = field(default_factory=machine_name, init=False)

    def why_not(self, runtime: Runtime) -> str | None:
        return why_no_writer(self.precision, runtime)

    def __call__(self, variant: Variant, folder: Path) -> Variant:
        return write(self.precision, self.judge.runtime(variant), variant, folder)
