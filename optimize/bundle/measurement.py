"""Reads the measurement.json that a bundle's bench.py wrote on a device."""

from math import isfinite
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from optimize.errors import InputError
from optimize.inside import content
from optimize.measurement import Measurement
from optimize.texts import CONTROL

SCHEMA, EARLIER = 2, 1
MOST, LONGEST = 2**20, 1000  # bytes of the file, characters of a text in it
WINDOWS = 10_000  # of a sustained run, at most
PLACE = 2**31  # of a count or a time, at most


def read(path: Path) -> Measurement:
    """The measurement that bench.py wrote.

    Raises:
        InputError: there is none, it is damaged, or it has another schema.
    """
    fix = "give the measurement.json that bench.py of a bundle wrote"
    if not path.is_file():
        raise InputError(f"{path} does not exist; {fix}.")
    if (written := content(path.resolve(), MOST)) is None:
        raise InputError(f"{path} is too large for a measurement; {fix}.")
    try:
        measurement = TypeAdapter(Measurement).validate_json(written)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "its start"
        raise InputError(f"{path} is no measurement (at {where}: {first['msg']}); {fix}.") from error
    if measurement.schema not in (EARLIER, SCHEMA):
        raise InputError(
            f"{path} has schema {measurement.schema}, this version reads {EARLIER} and {SCHEMA}; make the bundle again."
        )
    if any(len(text) > LONGEST or CONTROL.search(text) for text in _texts(measurement)):
        raise InputError(f"{path} holds a text that is too long, or has control characters; {fix}.")
    if not _possible(measurement):
        raise InputError(f"{path} holds impossible figures, such as a time or a count of zero; {fix}.")
    return measurement


def _texts(found: Measurement) -> list[str]:
    versions = [text for pair in found.versions.items() for text in pair]
    return [*versions, *(value for value in vars(found).values() if isinstance(value, str))]


def _possible(found: Measurement) -> bool:
    windows = found.sustained
    states = (value for window in windows for value in (window.clock_mhz, window.temperature_c))
    told = [value for value in (*found.clock_mhz, *found.temperature_c, *states) if value is not None]
    told += [value for window in windows for value in (window.seconds, window.median_ms)]
    tail = [value for value in (found.p90_ms, found.p99_ms) if value is not None]
    times = [found.q1_ms, found.median_ms, found.q3_ms, *tail]
    return (
        all(map(isfinite, (*times, found.noise, found.noise_spread, *told)))
        and times[0] > 0
        and times == sorted(times)
        and min(found.noise, found.noise_spread) >= 0
        and all(
            1 <= count < PLACE
            for count in (found.runs, found.threads, found.cores, found.imgsz.height, found.imgsz.width)
        )
        and all(abs(value) < PLACE for value in (times[-1], found.noise, found.noise_spread, *told))
        and found.q1_ms >= 1e-9
        and all(window.median_ms >= 1e-9 and window.seconds > 0 for window in windows)
        and len(windows) <= WINDOWS
        and found.device.strip() != ""
    )
