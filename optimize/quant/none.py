"""Leave the model in float32."""

from dataclasses import dataclass
from pathlib import Path

from optimize.variant import Variant


@dataclass(frozen=True)
class NoQuant:
    def __call__(self, variant: Variant, folder: Path) -> Variant:
        return variant
