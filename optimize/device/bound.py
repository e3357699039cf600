"""A lower bound of a model's latency on a device that is not at hand: computed, not measured.

The roofline of `roofline.py` with only what holds for any software: a layer takes at least its operations over the
peak, and at least the bytes that it must move from or to memory over the bandwidth; the bound is the sum of the longer
ones. A layer reads at most one cache size of its input from the caches, and leaves at most one cache size of its output
there. Operators between convolutions can be fused with them and are not counted. Unknown figures of a device give no
bound.

Convolutions of 3x3 with stride 1 need less than their operations: Winograd's algorithm on tiles of 6x6 multiplies 64
times where 324 were counted (Lavin, Gray, "Fast Algorithms for Convolutional Neural Networks", CVPR 2016); no runtime
that we know goes further. So only the bound with that, `winograd_ms`, rules a model out.
"""

from dataclasses import dataclass

from optimize.device.device import BYTES, Device
from optimize.measure.cost import Cost, Layer
from optimize.measure.roofline import LayerLimit

WINOGRAD = 64 / 324


@dataclass(frozen=True)
class Roofs:
    """What bounds one unit of a device in one arithmetic; None where it is not known.

    Attributes:
        peak: 1e9 operations a second.
        bandwidth, cache_bandwidth: 1e9 bytes a second.
        cache: bytes.
        width: bytes of a number.
    """

    peak: float
    bandwidth: float | None
    cache_bandwidth: float | None
    cache: float | None
    width: int


@dataclass(frozen=True)
class Bound:
    """The lower bound of a model on one unit of a device in one arithmetic, for one image at a time.

    Attributes:
        unit, arithmetic: as in `Device.peaks`.
        layers: the convolutions, linear layers and matrix products, in the order of the network; None without a peak.
        winograd_ms: the bound for software that computes 3x3 convolutions by Winograd's algorithm; None without a peak.
        memory: bytes of the weights, and of what goes into and comes out of the largest layer.
        fits: whether that is less than the device's memory, of which a system and a runtime take their part too.
    """

    unit: str
    arithmetic: str
    layers: tuple[LayerLimit, ...] | None
    winograd_ms: float | None
    memory: float
    fits: bool | None

    @property
    def bound_ms(self) -> float | None:
        return None if self.layers is None else sum(layer.bound_ms for layer in self.layers)


def bounds(cost: Cost, device: Device) -> tuple[Bound, ...]:
    """The bound of a model that costs `cost` in every arithmetic of every unit of `device`."""
    return tuple(_bound(cost, device, unit, arithmetic) for unit, peaks in device.peaks.items() for arithmetic in peaks)


def _bound(cost: Cost, device: Device, unit: str, arithmetic: str) -> Bound:
    counted = [layer for layer in cost.layers if layer.flops]
    share = BYTES[arithmetic] / BYTES["fp32"]
    largest = max((layer.read_bytes + layer.written_bytes for layer in counted), default=0)
    memory = share * (cost.weight_bytes + largest)
    roofs = _roofs(device, unit, arithmetic)
    return Bound(
        unit=unit,
        arithmetic=arithmetic,
        layers=tuple(limit(layer, roofs) for layer in counted) if roofs else None,
        winograd_ms=sum(limit(layer, roofs, winograd=True).bound_ms for layer in counted) if roofs else None,
        memory=memory,
        fits=None if device.memory.value is None else memory <= device.memory.value * 1e9,
    )


def _roofs(device: Device, unit: str, arithmetic: str) -> Roofs | None:
    """None without a peak."""
    peak = device.peaks[unit][arithmetic].value
    if peak is None:
        return None
    cache, slow, fast = device.cache[unit].value, device.bandwidth[unit].value, device.cache_bandwidth.get(unit)
    return Roofs(
        peak=peak,
        bandwidth=slow,
        cache_bandwidth=fast.value if fast else None,
        cache=None if cache is None else cache * 1e6,
        width=BYTES[arithmetic],
    )


def limit(layer: Layer, roofs: Roofs, *, winograd: bool = False) -> LayerLimit:
    """The least time of one layer; `winograd` for software that computes its 3x3 convolutions so."""
    share = roofs.width / BYTES["fp32"]
    read, written = share * (layer.weight_bytes + layer.read_bytes), share * layer.written_bytes
    compute = (layer.flops - winograd * (1 - WINOGRAD) * layer.winograd_flops) / roofs.peak / 1e6
    memory = 0.0
    if roofs.bandwidth is not None and roofs.cache is not None:
        memory = (max(0.0, read - roofs.cache) + max(0.0, written - roofs.cache)) / roofs.bandwidth / 1e6
    if roofs.cache_bandwidth is not None:
        memory = max(memory, (read + written) / roofs.cache_bandwidth / 1e6)
    moved = read + written
    return LayerLimit(
        name=layer.name,
        intensity=layer.flops / moved if moved else 0.0,
        bound_ms=max(compute, memory),
        bound="compute" if compute >= memory else "memory",
    )
