"""The section on measurements from other machines; no other figure of the report is compared with them."""

from collections.abc import Iterator
from dataclasses import asdict

from optimize.measure.sustained import describe
from optimize.measurement import Measurement
from optimize.report.sections.section import DASH, Section, Table
from optimize.result import Report, Result
from optimize.settings import FLOAT32

HEAD = (
    *("device", "variant", "runtime", "arithmetic", "threads", "median ms", "quartiles", "p90 ms", "p99 ms"),
    *("A/A", "+-", "MHz", "°C"),
)
NOTE = (
    "The same models on other machines, measured by the bundle's bench.py. They are not compared with measurements on "
    "this host, so there is no speed-up; clock and temperature are those after warm-up and at the end."
)
EARLIER = (
    "Rows without p90 may come from the bench.py of a version up to 0.3, whose clock was another one: it opened the "
    "model twice in one process, so small models look slower than they are; make the bundle again to measure them anew."
)


def section(report: Report) -> Section | None:
    """A row per imported measurement; None without any."""
    if not report.measurements:
        return None
    table = Table(HEAD, rows(report), words=HEAD[:4])
    earlier = any(one.schema == 1 for one in report.measurements)
    return Section(
        "devices",
        "Measured on devices",
        NOTE,
        (table,),
        notes=(*_sustained(report), *([EARLIER] if earlier else [])),
        sources=_machines(report),
        terminal=True,
    )


def rows(report: Report) -> tuple[tuple[str, ...], ...]:
    """A cell for each of `HEAD`, row by row."""
    return tuple(
        (
            one.device,
            f"{measured(one, report).variant.name}{'' if one.input == FLOAT32 else f' ({one.input} input)'}",
            one.runtime,
            one.arithmetic or DASH,
            str(one.threads),
            f"{one.median_ms:.2f}",
            f"{one.q1_ms:.2f}-{one.q3_ms:.2f}",
            *(DASH if tail is None else f"{tail:.2f}" for tail in (one.p90_ms, one.p99_ms)),
            f"{one.noise:.1%}",
            f"{one.noise_spread:.1%}",
            _both(one.clock_mhz),
            _both(one.temperature_c),
        )
        for one in report.measurements
    )


def measured(one: Measurement, report: Report) -> Result:
    """The row of this run that has the same artefact."""
    return next(row for row in report.results if row.artefact == one.artefact)


def _sustained(report: Report) -> Iterator[str]:
    """How long each device kept its speed, where that was asked for."""
    for one in report.measurements:
        if one.sustained:
            windows = [asdict(window) for window in one.sustained]
            yield f"{one.device}, {measured(one, report).variant.name}: {describe(windows)}."


def _both(values: tuple[float | None, float | None]) -> str:
    """The values after warm-up and at the end."""
    return DASH if values == (None, None) else " / ".join(DASH if value is None else f"{value:.0f}" for value in values)


def _machines(report: Report) -> tuple[str, ...]:
    return tuple(
        f"{one.device}, {one.threads} threads: {one.cpu}, {one.cores} cores, {one.system}, "
        f"{', '.join(f'{name} {number}' for name, number in one.versions.items())}; {one.runs} calls, {one.began}."
        for one in report.measurements
    )
