"""The protocol of precisions: a stage that makes one more file of an exported float32 model in each runtime."""

from dataclasses import replace
from pathlib import Path
from typing import ClassVar, Protocol

from optimize.precision import Precision
from optimize.runtime.session import Runtime
from optimize.variant import Variant


class PrecisionStage(Protocol):
    """A stage, see `optimize.stage`, that makes files of one precision.

    Attributes:
        precision: the precision of these files, for the report.
    """

    precision: ClassVar[Precision]

    def why_not(self, runtime: Runtime) -> str | None:
        """Why it makes no file for `runtime` here, in a few words; None where it makes one."""
        ...

    def __call__(self, variant: Variant, folder: Path) -> Variant: ...


def write(precision: Precision, runtime: Runtime, variant: Variant, folder: Path) -> Variant:
    """The variant that `runtime.writer` makes of `variant` in `folder`; `variant` itself where there is no writer."""
    writer = runtime.writer(precision.name)
    if isinstance(writer, str):
        return variant
    target = folder / variant.path.name
    writer(variant.path, target)
    return replace(variant, path=target, precision=precision.name, tags=(*variant.tags, precision.name))


def why_no_writer(precision: Precision, runtime: Runtime) -> str | None:
    """The reason that `runtime` gives for having no writer; None where it has one."""
    writer = runtime.writer(precision.name)
    return writer if isinstance(writer, str) else None
