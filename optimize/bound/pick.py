"""Picks the largest of several models that can meet limits, by measurements where there are any, else by bounds.

A bound can only rule models out: a model that passes may still be too slow. A measurement replaces the bound of its own
unit and arithmetic; the other bounds stay.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from optimize.device.bound import Bound
from optimize.input_size import Size
from optimize.limits import Limits
from optimize.measure.cost import Cost
from optimize.verdict.plain import change

STORED = {"int8": 1}  # least bytes of a weight in a file, by arithmetic; all others can be stored in 2


@dataclass(frozen=True)
class Measured:
    """A measurement from an earlier run of a model, or of a variant made from it without pruning.

    Attributes:
        run: its folder.
        host: the name of its machine.
        name, runtime, arithmetic: of the row.
        latency_ms, size_mb, flops: as `Limits` limits them.
        replaces: unit and arithmetic of the bound that it replaces.
        points: percentage points of the main metric that it gains over the checkpoint; negative for a loss.
        metric: name of the main metric.
        doubts: alarms about its figures, a sentence each; a row with any is not used.
    """

    run: str
    host: str
    name: str
    runtime: str
    arithmetic: str
    latency_ms: float
    size_mb: float
    flops: float
    replaces: tuple[str, str]
    points: float
    metric: str
    doubts: tuple[str, ...] = ()

    def meets(self, limits: Limits) -> bool:
        names = ("latency_ms", "size_mb", "flops")
        return all(getattr(limits, n) is None or getattr(self, n) <= getattr(limits, n) for n in names)


@dataclass(frozen=True)
class Candidate:
    """A model to choose from: its cost, its bounds on the device (none without a device), its measurements there."""

    name: str
    imgsz: Size
    cost: Cost
    bounds: tuple[Bound, ...]
    measured: tuple[Measured, ...]

    @property
    def sound(self) -> list[Measured]:
        return [row for row in self.measured if not row.doubts]

    def met(self, limits: Limits) -> list[Measured]:
        """The measurements that meet `limits`."""
        return [row for row in self.sound if row.meets(limits)]

    def left(self, limits: Limits) -> list[Bound]:
        """The bounds that no measurement replaces and that do not rule the model out."""
        replaced = {row.replaces for row in self.sound}
        bounds = [bound for bound in self.bounds if (bound.unit, bound.arithmetic) not in replaced]
        return [bound for bound in bounds if not misses(self.cost, bound, limits)]

    def possible(self, limits: Limits) -> bool:
        """Whether a measurement meets `limits`, or a bound without a measurement allows it."""
        if self.bounds or self.sound:
            return bool(self.met(limits) or self.left(limits))
        return not misses(self.cost, None, limits)


def misses(cost: Cost, bound: Bound | None, limits: Limits) -> list[str]:
    """Why a model can't meet `limits` in the arithmetic of `bound`, or in any arithmetic; empty where it may."""
    size = cost.parameters * STORED.get(bound.arithmetic, 2) / 1e6 if bound else cost.parameters / 1e6
    found = []
    if limits.flops is not None and cost.flops > limits.flops:
        found.append(f"{cost.flops / 1e9:.4g} instead of {limits.flops / 1e9:g} GFLOPs")
    if limits.size_mb is not None and size > limits.size_mb:
        found.append(f"at least {size:.4g} instead of {limits.size_mb:g} MB")
    least = bound.winograd_ms if bound else None
    if least is not None and limits.latency_ms is not None and least > limits.latency_ms:
        found.append(f"at least {least:.3g} instead of {limits.latency_ms:g} ms")
    if bound and bound.fits is False:
        found.append(f"at least {bound.memory / 1e6:.4g} MB of memory, more than the device has")
    return found


def explain(cost: Cost, bound: Bound, limits: Limits) -> str:
    """Whether `limits` rule a model out in one arithmetic and why, or on what condition it is possible."""
    if missed := misses(cost, bound, limits):
        return f"ruled out: {', '.join(missed)}"
    least = bound.bound_ms
    if least is None:
        return f"not ruled out: no {bound.arithmetic} peak known"
    slow = limits.latency_ms is not None and least > limits.latency_ms
    return "only with Winograd" if slow else "not ruled out"


def largest(candidates: Sequence[Candidate], limits: Limits) -> tuple[Candidate | None, Candidate | None]:
    """The model with the most FLOPs that can meet `limits`, and the one with the most that measurably does."""
    ranked = sorted(candidates, key=lambda candidate: -candidate.cost.flops)
    possible = next((c for c in ranked if c.possible(limits)), None)
    return possible, next((c for c in ranked if c.met(limits)), None)


def verdict(candidates: Sequence[Candidate], limits: Limits, where: str) -> list[str]:
    """Which model to deploy, in one or two sentences; empty where no model can meet `limits`."""
    possible, measured = largest(candidates, limits)
    found = []
    if possible and possible is not measured:
        kinds = ", ".join(map(_kind, possible.left(limits)))
        left = f" ({kinds})" if kinds else ""
        found.append(
            f"The largest model that can meet the limits{where}: {_called(possible)}{left}. "
            + (
                f"What was measured of it misses them; not measured: {kinds}."
                if possible.sound
                else "It was not measured."
            )
            + " A bound can only rule models out, so measure it there."
        )
    if measured:
        best = min(measured.met(limits), key=lambda row: row.latency_ms)
        found.append(
            f"The largest model that was measured to meet the limits{where}: {_called(measured)}, as {best.name} on "
            f"{best.runtime} in {best.arithmetic}, {best.latency_ms:.4g} ms on {best.host}, {change(best.points)} "
            f"points of {best.metric} ({best.run})."
        )
    return found


def _called(candidate: Candidate) -> str:
    return f"{candidate.name} at {candidate.imgsz} px"


def _kind(bound: Bound) -> str:
    return f"{bound.unit} in {bound.arithmetic}{', whose peak is not known' if bound.layers is None else ''}"
