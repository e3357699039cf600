"""The section on lower bounds: the least latency of each model on a device, computed and labelled as such."""

from optimize.device.bound import Bound, bounds
from optimize.device.device import Device
from optimize.input_size import Size
from optimize.measure.cost import Cost
from optimize.report.sections.section import DASH, Section, Table
from optimize.result import Report

HEAD = (
    *("model", "px", "unit", "arithmetic", "GFLOPs", "bound, ms", "with Winograd, ms"),
    *("memory, MB", "fits the memory"),
)
WORDS = ("model", "unit", "arithmetic", "fits the memory")


def title(device: Device) -> str:
    return f"Lower bound on {device.name}: computed, not measured"


def section(report: Report) -> Section | None:
    """A row per model and arithmetic, and the source of every figure; None without a device."""
    if report.device is None:
        return None
    first, *others = notes(report.device)
    return Section(
        name="bounds",
        title=title(report.device),
        lead=first,
        tables=(Table(HEAD, tuple(rows(report)), WORDS),),
        notes=tuple(others),
        sources=tuple(sources(report.device)),
        terminal=True,
    )


def rows(report: Report) -> list[tuple[str, ...]]:
    """A cell for each of `HEAD`, for each model in each arithmetic; none without a device."""
    if report.device is None:
        return []
    models = [result for result in report.results if result.variant.runtime == "torch"]
    return [row for r in models for row in of_model(r.variant.name, r.variant.imgsz, r.cost, report.device)]


def of_model(name: str, imgsz: Size, cost: Cost, device: Device) -> list[tuple[str, ...]]:
    """The rows of one model."""
    return [(name, f"{imgsz}", *cells(cost, bound)) for bound in bounds(cost, device)]


def cells(cost: Cost, bound: Bound) -> tuple[str, ...]:
    """The cells of one bound, from the unit on."""
    return (
        bound.unit,
        bound.arithmetic,
        f"{cost.flops / 1e9:.3f}",
        *(DASH if time is None else f"{time:.3g}" for time in (bound.bound_ms, bound.winograd_ms)),
        f"{bound.memory / 1e6:.1f}",
        DASH if bound.fits is None else "yes" if bound.fits else "no",
    )


def notes(device: Device) -> list[str]:
    """How the bounds are computed and what they can't say, a sentence each."""
    return [
        "A bound, not a measurement: on this device the model takes at least this long, usually several times as long. "
        "A bound can rule a model out; only a measurement can show that a model is fast enough.",
        "The roofline: a layer takes at least its operations over the peak, and at least the bytes that the caches "
        "can't hold over the bandwidth; the bound is the sum of the longer ones, for one image. Activations, pooling, "
        "additions, copies, box decoding, NMS, call overhead, waiting and clock throttling are left out.",
        "`bound` counts every operation, as FLOPs do. Runtimes that use Winograd's algorithm for 3x3 convolutions "
        "(ncnn, TensorRT) need up to 5.06 times fewer multiplications there, so only `with Winograd` rules a model "
        "out.",
        "The int8 bound assumes that every layer runs in int8. `memory` counts the weights, and the input and output "
        "of the largest layer, without the system and the runtime.",
        *_unknown(device),
    ]


def _unknown(device: Device) -> list[str]:
    peaks = [
        f"{unit} in {arithmetic}"
        for unit, by_arithmetic in device.peaks.items()
        for arithmetic, figure in by_arithmetic.items()
        if figure.value is None
    ]
    memory = [unit for unit in device.peaks if None in (device.bandwidth[unit].value, device.cache[unit].value)]
    return [
        *([f"There is no bound for {', '.join(peaks)}, since no peak with a source is known."] if peaks else []),
        *(
            [f"Memory does not bound {', '.join(memory)}, since the bandwidth or the cache size is not known."]
            if memory
            else []
        ),
    ]


def sources(device: Device) -> list[str]:
    """Every figure with its kind and its source."""
    figures = [
        (f"{unit}, {arithmetic}", figure, "GOPS" if arithmetic == "int8" else "GFLOPS")
        for unit, peaks in device.peaks.items()
        for arithmetic, figure in peaks.items()
    ]
    for name, unit in (("bandwidth", "GB/s"), ("cache_bandwidth", "GB/s"), ("cache", "MB")):
        words = name.replace("_", " ")
        figures += [(f"{where}, {words}", figure, unit) for where, figure in getattr(device, name).items()]
    figures.append(("memory", device.memory, "GB"))
    return [
        f"{what}: {'not known' if figure.value is None else f'{figure.value:g} {unit}, {figure.kind}'}. {figure.source}"
        for what, figure, unit in figures
    ]
