"""A stage makes one variant from another."""

from pathlib import Path
from typing import Protocol

from optimize.variant import Variant


class Stage(Protocol):
    """A frozen dataclass, or a method of one, whose fields hold every input: see `optimize.identity`."""

    def __call__(self, variant: Variant, folder: Path) -> Variant:
        """Make the new variant inside `folder`, or return `variant` itself where there is nothing to do.

        `folder` may hold what an interrupted call left there. A stage that has something to say of what it did calls
        `store.apply.write_report` with a record of `optimize.work`.
        """
        ...
