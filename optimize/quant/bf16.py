"""bf16 arithmetic in OpenVINO: free, and on a CPU with AMX about as fast as int8."""

import shutil
from dataclasses import dataclass, field, replace
from pathlib import Path

from optimize.runtime.here import here
from optimize.variant import Variant


@dataclass(frozen=True)
class Bf16:
    """Effect: the same file, opened with another precision hint; OpenVINO only, on a CPU that has bf16.

    Every other variant comes back unchanged.

    Attributes:
        machine: another one that shares the store may have no bf16.
    """

    machine: str = field(default_factory=here, init=False)

    def __call__(self, variant: Variant, folder: Path) -> Variant:
        if variant.runtime != "openvino":
            return variant
        from optimize.runtime.openvino import cpu_computes_bf16

        if not cpu_computes_bf16():
            return variant
        target = folder / variant.path.name
        shutil.copytree(variant.path, target, dirs_exist_ok=True)
        return replace(variant, path=target, precision="bf16", tags=(*variant.tags, "bf16"))
