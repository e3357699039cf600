"""What the user can't do without: `limits.max_drop=1.0 limits.latency_ms=20 limits.flops=4e9 limits.size_mb=4`."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Each is optional.

    Attributes:
        max_drop: points of the task's metric that may be lost against the original in torch.
        latency_ms: median time of one call, in milliseconds.
        flops: operations for one image, 2 per multiply-add.
        size_mb: of the artefact, in 1e6 bytes.
    """

    max_drop: float | None = None
    latency_ms: float | None = None
    flops: float | None = None
    size_mb: float | None = None
