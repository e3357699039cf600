"""How a CPU computes in 8 bits, which decides how a model is best quantized for it."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Annotated

from pydantic import ConfigDict, StringConstraints

from optimize.identity import OUTSIDE

AMX, VNNI, AVX2, DOT, NEON, UNKNOWN = "amx", "vnni", "avx2", "dot", "neon", "unknown"
KINDS = {
    AMX: "tiles of 8-bit products (AMX)",
    VNNI: "8-bit dot products (VNNI)",
    AVX2: "no 8-bit dot product (x86 without VNNI), and sums of two products that may overflow 16 bits",
    DOT: "8-bit dot products (ARM)",
    NEON: "no 8-bit dot product (ARM)",
    UNKNOWN: "unknown instructions",
}
# Linux' names of the instructions; the first kind of which a CPU has one is its kind
INSTRUCTIONS = {
    AMX: ("amx_int8",),
    VNNI: ("avx512_vnni", "avx_vnni", "avx_vnni_int8"),
    AVX2: ("sse4_1", "avx", "avx2", "avx512f"),
    DOT: ("asimddp", "i8mm"),
    NEON: ("asimd",),
}
HERE = "this machine"  # the source of what is known of it
Kind = Annotated[str, StringConstraints(pattern=f"^({'|'.join(KINDS)})$")]


@dataclass(frozen=True)
class Int8Cpu:
    """The CPU that int8 files are made for.

    Attributes:
        kind: a key of `KINDS`; the only part that files depend on.
        name: for people; None where it is not known.
        source: where this is known from: `HERE`, or the key that names another one.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    kind: Kind
    name: str | None = field(default=None, metadata=OUTSIDE)
    source: str = field(default=HERE, metadata=OUTSIDE)

    @property
    def is_slow(self) -> bool:
        """Whether it lacks instructions that multiply and add 8 bits in one, so that int8 gains less speed."""
        return self.kind in (AVX2, NEON)


def kind_of(flags: Iterable[str]) -> str:
    """The kind of a CPU with these instructions, by Linux' names; `unknown` where they tell nothing."""
    there = set(flags)
    return next((kind for kind, names in INSTRUCTIONS.items() if there & set(names)), UNKNOWN)
