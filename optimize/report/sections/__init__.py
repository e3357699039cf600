"""The sections of the report: one file each, and one line in the list below.

The page, report.md and the terminal iterate over them in this order. To add one: docs/extending/report_section.md.
"""

from collections.abc import Callable

from optimize.report.sections import (
    all_images,
    bounds,
    devices,
    equal_time,
    frames,
    latency_target,
    layers,
    limits,
    mix,
    quantization,
    saved,
    start_up,
    throughput,
)
from optimize.report.sections.section import Section
from optimize.result import Report

SECTIONS: tuple[Callable[[Report], Section | None], ...] = (
    all_images.section,
    mix.section,
    equal_time.section,
    frames.section,
    start_up.section,
    throughput.section,
    devices.section,
    latency_target.section,
    quantization.section,
    saved.section,
    limits.section,
    bounds.section,
    layers.section,
)


def sections(report: Report) -> list[Section]:
    """The sections of `report` that have something to show."""
    found = (make(report) for make in SECTIONS)
    return [section for section in found if section is not None]
