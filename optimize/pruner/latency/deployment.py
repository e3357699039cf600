"""Where the network that is pruned will run."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from optimize.identity import OUTSIDE

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
        store: where measurements are kept.
    """

    name: str
    precision: str
    threads: int
    cpu: str
    recipe: str
    version: str
    runtime: "Runtime" = field(repr=False, metadata=OUTSIDE)
    store: Path = field(repr=False, metadata=OUTSIDE)

    def __str__(self) -> str:
        return f"{self.name}-{self.precision}"
