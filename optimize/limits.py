"""Hard constraints, e.g. `limits.max_drop=1.0 limits.latency_ms=20 limits.flops=4e9`."""

from dataclasses import dataclass, fields

from optimize.errors import InputError


@dataclass(frozen=True)
class Limits:
    """The limits of a run, each optional; conf/config.yaml explains them."""

    max_drop: float | None = None
    latency_ms: float | None = None
    flops: float | None = None
    size_mb: float | None = None
    max_class_drop: float | None = None
    frame_ms: float | None = None

    def __post_init__(self) -> None:
        for field in fields(self):
            value, may_be_zero = getattr(self, field.name), field.name in ("max_drop", "max_class_drop")
            if value is not None and not (value >= 0 if may_be_zero else value > 0):
                allowed = "0 or more" if may_be_zero else "more than 0"
                raise InputError(f"limits.{field.name}={value:g} is not allowed; give {allowed}, or null for no limit.")
