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
STAYS = 2  # windows at the end that must be slower: one may be a disturbance
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
    """The index from which on at least two windows, up to the last, are over 5 % slower than the fastest; or None."""
    fastest = min(one["median_ms"] for one in windows)
    slow = [one["median_ms"] > SLOWER * fastest for one in windows]
    place = len(slow) - next((i for i, one in enumerate(reversed(slow)) if not one), len(slow))
    return place if len(slow) - place >= STAYS else None


def describe(windows: Sequence[Window]) -> str:
    """What the windows say, as one sentence."""
    first, last = windows[0], windows[-1]
    told = f"{first['median_ms']:.2f} ms at first, {last['median_ms']:.2f} at the end{_state(first, last)}"
    minutes = last["seconds"] / 60
    if len(windows) < STAYS:
        return f"{minutes:.1f} minutes are too short to tell whether it keeps its speed: {told}"
    place = slow_from(windows)
    if place is None:
        return f"kept its speed for {minutes:.1f} minutes: {told}"
    began = windows[place - 1]["seconds"]
    return f"slower from minute {began / 60:.1f} of {minutes:.1f} on: {told}"


def _state(first: Window, last: Window) -> str:
    parts = [
        f"{name} {first[key]:.0f} and {last[key]:.0f}{unit}"
        for name, key, unit in (("clock", "clock_mhz", " MHz"), ("", "temperature_c", " °C"))
        if first[key] is not None and last[key] is not None
    ]
    return "".join(f", {part.strip()}" for part in parts)
