"""What a bundle's bench.py measured on a device, as it comes back into the report of the run that made the bundle."""

from dataclasses import dataclass
from math import isfinite
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from optimize.errors import InputError
from optimize.inside import content
from optimize.texts import CONTROL

SCHEMA = 1
MOST, LONGEST = 2**20, 1000  # bytes of the file, characters of a text in it
PLACE = 2**31  # of a count or a time, at most


@dataclass(frozen=True)
class Measurement:
    """Time of one call of an artefact on another machine, batch 1, from numpy in to numpy out.

    Attributes:
        schema: of the file.
        run: name of the run's folder that the bundle was made in.
        sha256, runtime, precision, imgsz: what was measured, as in the run's own row.
        device: what the device is called.
        cpu, system: as it tells.
        cores: that the process could use.
        threads: that the runtime got.
        arithmetic: what really ran, read back from the runtime; None where it doesn't tell.
        median_ms, p95_ms, q1_ms, q3_ms: over all timed calls, in milliseconds.
        runs: number of timed calls.
        noise, noise_spread: A/A as in `Report`.
        clock_mhz: of the fastest core, when warm and at the end; None where the system doesn't tell.
        temperature_c: of the hottest sensor, when warm and at the end, in °C; None where the system doesn't tell.
        began: date and time, ISO 8601, with the time zone.
        versions: of python, numpy and the runtime.
    """

    schema: int
    run: str
    sha256: str
    runtime: str
    precision: str
    imgsz: int
    device: str
    cpu: str
    system: str
    cores: int
    threads: int
    arithmetic: str | None
    median_ms: float
    p95_ms: float
    q1_ms: float
    q3_ms: float
    runs: int
    noise: float
    noise_spread: float
    clock_mhz: tuple[float | None, float | None]
    temperature_c: tuple[float | None, float | None]
    began: str
    versions: dict[str, str]

    @property
    def artefact(self) -> tuple[str, str, str]:
        """What was measured; a bf16 row has the same file as its fp32 row."""
        return self.sha256, self.runtime, self.precision

    @property
    def place(self) -> tuple:
        """Where: another measurement of the same artefact there takes its place."""
        return *self.artefact, self.device, self.threads


def read(path: Path) -> Measurement:
    """The measurement that bench.py wrote.

    Raises:
        InputError: there is none, it is damaged, or it is of another schema than ours.
    """
    mend = "give the measurement.json that bench.py of a bundle wrote"
    if not path.is_file():
        raise InputError(f"{path} does not exist; {mend}.")
    if (written := content(path.resolve(), MOST)) is None:
        raise InputError(f"{path} is too large for a measurement; {mend}.")
    try:
        found = TypeAdapter(Measurement).validate_json(written)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "its start"
        raise InputError(f"{path} is no measurement (at {where}: {first['msg']}); {mend}.") from error
    if found.schema != SCHEMA:
        raise InputError(f"{path} has schema {found.schema}, this version reads {SCHEMA}; make the bundle again.")
    if any(len(text) > LONGEST or CONTROL.search(text) for text in _texts(found)):
        raise InputError(f"{path} holds a text that is too long, or has control characters; {mend}.")
    if not _possible(found):
        raise InputError(f"{path} holds figures that can't be, such as a time or a count of zero; {mend}.")
    return found


def _texts(found: Measurement) -> list[str]:
    versions = [text for pair in found.versions.items() for text in pair]
    return [*versions, *(value for value in vars(found).values() if isinstance(value, str))]


def _possible(found: Measurement) -> bool:
    told = [value for value in (*found.clock_mhz, *found.temperature_c) if value is not None]
    return (
        all(map(isfinite, (found.p95_ms, found.q3_ms, found.noise, found.noise_spread, *told)))
        and 0 < found.q1_ms <= found.median_ms <= found.q3_ms <= found.p95_ms
        and min(found.noise, found.noise_spread) >= 0
        and all(1 <= count < PLACE for count in (found.runs, found.threads, found.cores, found.imgsz))
        and all(abs(value) < PLACE for value in (found.p95_ms, found.noise, found.noise_spread, *told))
        and found.q1_ms >= 1e-9
        and found.device.strip() != ""
    )
