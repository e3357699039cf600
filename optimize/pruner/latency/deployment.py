"""Where the network that is pruned will run."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from optimize.identity import OUTSIDE
from optimize.input_size import Size
from optimize.int8_cpu import UNKNOWN, Int8Cpu
from optimize.pruner.latency.samples import LatencySamples

if TYPE_CHECKING:
    from optimize.runtime.session import Runtime


@dataclass(frozen=True)
class Deployment:
    """What the latency of a network is measured in.

    Attributes:
        name: of the runtime.
        precision: of the files, e.g. `int8`.
        threads: CPU threads.
        cpu: this machine.
        recipe: of its quantization; empty where there is none.
        version: of the runtime's package.
        runtime: the runtime itself.
        int8_cpu: that int8 files are made for; `recipe` stands for it.
        store: where measurements are kept.
        table: SHA-256 of a table that was measured elsewhere; empty for one that is measured here.
        samples: its content; None for one that is measured here.
        table_imgsz: the input that the table is of; None for that of the model which is pruned.
    """

    name: str
    precision: str
    threads: int
    cpu: str
    recipe: str
    version: str
    runtime: "Runtime" = field(repr=False, metadata=OUTSIDE)
    store: Path = field(repr=False, metadata=OUTSIDE)
    int8_cpu: Int8Cpu = field(default=Int8Cpu(UNKNOWN), repr=False, metadata=OUTSIDE)
    table: str = ""
    samples: LatencySamples | None = field(default=None, repr=False, metadata=OUTSIDE)
    table_imgsz: Size | None = field(default=None, metadata=OUTSIDE)

    def __str__(self) -> str:
        return f"{self.name}-{self.precision}"
