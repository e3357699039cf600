"""How long a device keeps its speed: bench.py --minutes 10 calls the model without a pause for so long.

Small boards have no fan, so they are fast until they are hot. Copied into bundles: only the standard library is
imported here.
"""

from collections.abc import Callable, Mapping, Sequence
from statistics import median
from time import perf_counter
from typing import Any

Window = Mapping[str, Any]  # seconds since the start, median_ms, clock_mhz and temperature_c, as in `Measurement`
State = tuple[float | None, float | None]

WINDOW = 10.0  # seconds
FIRST = 3  # windows, whose median is the speed that is compared with
SLOWER = 1.05  # times as long a call takes where the speed fell


def sustain(
    worker: Any, minutes: float, state: Callable[[], State], now: Callable[[], float] = perf_counter
) -> list[Window]:
    """A record for each window: seconds since the start, median milliseconds, clock in MHz and temperature in °C.

    `worker` is that of clock.py with a warm model, `state` tells clock and temperature, None where the system doesn't.
    """
    began, windows = now(), list[Window]()
    calls = max(1, int(1e3 / worker.milliseconds))  # about a second at once
    while now() - began < 60 * minutes:
        end, times = now() + WINDOW, list[float]()
        while now() < end:
            times += worker.visit(0, calls)
        clock_mhz, temperature_c = state()
        windows.append(
            {
                "seconds": round(now() - began, 1),
                "median_ms": median(times),
                "clock_mhz": clock_mhz,
                "temperature_c": temperature_c,
            }
        )
    return windows


def slow_from(windows: Sequence[Window]) -> int | None:
    """The index of the window from which on all are slower by more than 5 % than the first three; None without one."""
    first = median(one["median_ms"] for one in windows[:FIRST])
    place = None
    for i in range(len(windows) - 1, -1, -1):
        if windows[i]["median_ms"] <= SLOWER * first:
            break
        place = i
    return place


def describe(windows: Sequence[Window]) -> str:
    """What the windows say, as one sentence."""
    first, last = windows[0], windows[-1]
    place = slow_from(windows)
    told = f"{first['median_ms']:.2f} ms at first, {last['median_ms']:.2f} at the end{_state(first, last)}"
    minutes = last["seconds"] / 60
    if place is None:
        return f"kept its speed for {minutes:.1f} minutes: {told}"
    began = windows[place - 1]["seconds"] if place else 0.0
    return f"slower from minute {began / 60:.1f} of {minutes:.1f} on: {told}"


def _state(first: Window, last: Window) -> str:
    parts = [
        f"{name} {first[key]:.0f} and {last[key]:.0f}{unit}"
        for name, key, unit in (("clock", "clock_mhz", " MHz"), ("", "temperature_c", " °C"))
        if first[key] is not None and last[key] is not None
    ]
    return "".join(f", {part.strip()}" for part in parts)
