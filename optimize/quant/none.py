"""Leave the model in float32."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from optimize.precision import FP32
from optimize.runtime.session import Runtime
from optimize.variant import Variant


@dataclass(frozen=True)
class NoQuant:
    """Stage of `quant=none`: returns every variant unchanged."""

    precision: ClassVar = FP32

    def why_not(self, runtime: Runtime) -> None:
        """Return None: every runtime has its float32 file already."""

    def __call__(self, variant: Variant, folder: Path) -> Variant:
        return variant
