"""A made-up device."""

from dataclasses import replace

from optimize.device.device import Device, Figure


def figure(value: float | None) -> Figure:
    return Figure(value, "stated", "a data sheet")


def device(**changes) -> Device:
    """100 GFLOPS, 400 GOPS, 10 GB/s, a cache of 1 MB, 1 GB."""
    made = Device(
        name="a board",
        peaks={"cpu": {"fp32": figure(100.0), "int8": figure(400.0)}},
        bandwidth={"cpu": figure(10.0)},
        cache={"cpu": figure(1.0)},
        memory=figure(1.0),
    )
    return replace(made, **changes)
