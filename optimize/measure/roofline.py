"""The roofline of this machine, and how close a variant comes to it.

A layer takes at least as long as its operations at the machine's peak, and at least as long as its bytes at the
machine's bandwidth; the longer of both is its limit (Williams, Waterman, Patterson, "Roofline: an insightful visual
performance model for multicore architectures", CACM 52(4), 2009). Peaks and bandwidths are those that the runtime
itself reaches in synthetic graphs, so the limit says what better layers could reach in this software. A layer can be
faster than its limit, since peaks and bandwidths are measured and have noise.
"""

from dataclasses import dataclass

from optimize.measure.profile import LayerTime, Profile

CACHED = 8 * 2**20  # bytes that fit well into the last-level cache of today's CPUs


@dataclass(frozen=True)
class Machine:
    """Peaks and bandwidths that the runtimes reach on this machine, measured.

    Attributes:
        peaks: 1e9 operations a second, by runtime and arithmetic, e.g. `peaks["openvino"]["int8"]`.
        bandwidth: 1e9 bytes a second between memory and the cores, by runtime.
        cache_bandwidth: the same between caches and cores, for layers that move at most `CACHED` bytes.
    """

    peaks: dict[str, dict[str, float]]
    bandwidth: dict[str, float]
    cache_bandwidth: dict[str, float]


@dataclass(frozen=True)
class LayerLimit:
    """The limit of one layer.

    Attributes:
        name: as in `LayerTime`.
        intensity: operations per byte.
        bound_ms: the least time that it can take.
        bound: the resource that limits it, `compute` or `memory`.
    """

    name: str
    intensity: float
    bound_ms: float
    bound: str


@dataclass(frozen=True)
class Limit:
    """The limit of one variant: the sum over its layers, which run one after another.

    Attributes:
        layers: in the order of the profile.
        latency_ms: the measured latency.
    """

    layers: tuple[LayerLimit, ...]
    latency_ms: float

    @property
    def bound_ms(self) -> float:
        return sum(layer.bound_ms for layer in self.layers)

    @property
    def closeness(self) -> float:
        """The share of the latency that can't be saved by better kernels; 1 is at the limit."""
        return self.bound_ms / self.latency_ms

    @property
    def shares(self) -> dict[str, float]:
        """Shares of the latency: `compute` and `memory` at the limit, and `overhead`, the rest; they add up to 1.

        `overhead` comes from kernels that don't reach the limit, waiting threads and calls. It is below 0 where
        closeness is above 1.
        """
        limits = {
            kind: sum(layer.bound_ms for layer in self.layers if layer.bound == kind) / self.latency_ms
            for kind in ("compute", "memory")
        }
        return {**limits, "overhead": 1 - self.closeness}

    @property
    def bound(self) -> str:
        """Name of the largest of `shares`."""
        shares = self.shares
        return max(shares, key=lambda part: shares[part])


def limit(profile: Profile, runtime: str, machine: Machine, latency_ms: float) -> Limit | None:
    """The limit of a variant on `runtime` on this `machine`; None where a peak that it needs is not known."""
    peaks = machine.peaks.get(runtime, {})
    if runtime not in machine.bandwidth or any(layer.ops and layer.arithmetic not in peaks for layer in profile.layers):
        return None
    return Limit(tuple(_limit(layer, peaks, machine, runtime) for layer in profile.layers), latency_ms)


def _limit(layer: LayerTime, peaks: dict[str, float], machine: Machine, runtime: str) -> LayerLimit:
    bandwidth = (machine.cache_bandwidth if layer.bytes <= CACHED else machine.bandwidth)[runtime]
    compute = layer.ops / peaks[layer.arithmetic] / 1e6 if layer.ops else 0.0
    memory = layer.bytes / bandwidth / 1e6
    return LayerLimit(
        name=layer.name,
        intensity=layer.ops / layer.bytes if layer.bytes else 0.0,
        bound_ms=max(compute, memory),
        bound="compute" if compute > memory else "memory",
    )
