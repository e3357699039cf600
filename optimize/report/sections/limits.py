"""The section on the roofline: how close each variant comes to the limit of this machine, and what bounds it."""

from optimize.measure.roofline import CACHED, Limit, Machine, limit
from optimize.report.sections.section import Section, Table
from optimize.result import Report, Result

HEAD = ("variant", "runtime", "limit, ms", "median ms", "closeness", "compute", "memory", "overhead", "bound by")


LEAD = (
    "The roofline: a layer takes at least its operations over the peak, and at least its bytes over the bandwidth; "
    "the limit of a variant is the sum of the longer of the two. `compute` and `memory` are the shares of the median "
    "latency that compute-bound and memory-bound layers would take at the limit; `overhead` is the rest: kernels below "
    "the peak, waiting threads, call overhead. Over 100 % means that peaks or bandwidths were measured too low, e.g. "
    "because other programs ran."
)


def section(report: Report) -> Section | None:
    """A row per variant; None where neither the machine's peaks nor the time of layers was measured."""
    found = tuple(_row(result, own) for result, own in limits(report))
    if not found or report.machine is None:
        return None
    table = Table(HEAD, found, words=("variant", "runtime", "bound by"))
    return Section("limits", "How close to this machine's limit", LEAD, (table,), sources=_measured(report.machine))


def limits(report: Report) -> list[tuple[Result, Limit]]:
    """The limit of each row for which everything needed was measured."""
    found = [
        (r, limit(r.profile, r.variant.runtime, report.machine, r.latency.median_ms))
        for r in report.results
        if report.machine and r.profile and r.latency
    ]
    return [(result, own) for result, own in found if own]


def _row(result: Result, own: Limit) -> tuple[str, ...]:
    return (
        result.variant.name,
        result.variant.runtime,
        f"{own.bound_ms:.2f}",
        f"{own.latency_ms:.2f}",
        f"{own.closeness:.0%}",
        *(f"{share:.0%}" for share in own.shares.values()),
        own.bound,
    )


def _measured(machine: Machine) -> tuple[str, ...]:
    return tuple(
        f"{runtime} reaches {', '.join(_speed(kind, peak) for kind, peak in peaks.items())}, "
        f"{machine.bandwidth[runtime]:.0f} GB/s from memory, and {machine.cache_bandwidth[runtime]:.0f} GB/s for "
        f"layers that move at most {CACHED / 2**20:.0f} MiB, which fit the caches; measured with the runtime's "
        "profiler on graphs of one kind of layer, the best of all calls."
        for runtime, peaks in machine.peaks.items()
    )


def _speed(kind: str, peak: float) -> str:
    return f"{peak:.0f} {'GOPS' if kind == 'int8' else 'GFLOPS'} in {kind}"
