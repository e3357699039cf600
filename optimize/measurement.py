"""What a bundle's bench.py measured on a device, as it comes back into the report of the run that made the bundle."""

from dataclasses import dataclass

from optimize.input_size import StoredSize


@dataclass(frozen=True)
class Window:
    """Ten seconds of calls without a pause.

    Attributes:
        seconds: at its end, since the calls began.
        median_ms: of a call.
        clock_mhz, temperature_c: at its end, as in `Measurement`.
    """

    seconds: float
    median_ms: float
    clock_mhz: float | None
    temperature_c: float | None


@dataclass(frozen=True)
class Measurement:
    """Time of one call of an artefact on another machine, batch 1, from numpy in to numpy out.

    Attributes:
        schema: of the file; in schema 1 the model was opened twice in one process, with one untimed call in a visit.
        run: name of the run's folder that the bundle was made in.
        sha256, runtime, precision, imgsz: what was measured, as in the run's own row.
        device: what the device is called.
        cpu, system: as it tells.
        cores: that the process could use.
        threads: that the runtime got.
        arithmetic: what really ran, read back from the runtime; None where it doesn't tell.
        median_ms, q1_ms, q3_ms: over all timed calls, in milliseconds.
        runs: number of timed calls.
        noise, noise_spread: A/A as in `Report`.
        clock_mhz: of the fastest core, when warm and at the end; None where the system doesn't tell.
        temperature_c: of the hottest sensor, when warm and at the end, in °C; None where the system doesn't tell.
        began: date and time, ISO 8601, with the time zone.
        versions: of python, numpy and the runtime.
        p90_ms, p99_ms: over all timed calls; None with too few calls for them, and in schema 1.
        sustained: how its speed went over some minutes, where that was asked for.
        input: what the graph took, `float32` or `uint8`; the latter is another file with the same outputs.
    """

    schema: int
    run: str
    sha256: str
    runtime: str
    precision: str
    imgsz: StoredSize
    device: str
    cpu: str
    system: str
    cores: int
    threads: int
    arithmetic: str | None
    median_ms: float
    q1_ms: float
    q3_ms: float
    runs: int
    noise: float
    noise_spread: float
    clock_mhz: tuple[float | None, float | None]
    temperature_c: tuple[float | None, float | None]
    began: str
    versions: dict[str, str]
    p90_ms: float | None = None
    p99_ms: float | None = None
    input: str = "float32"
    sustained: tuple[Window, ...] = ()

    @property
    def artefact(self) -> tuple[str, str, str]:
        """What was measured; a bf16 row has the same file as its fp32 row."""
        return self.sha256, self.runtime, self.precision

    @property
    def place(self) -> tuple[str, str, str, str, str, int]:
        """Where: another measurement of the same artefact there takes its place."""
        return *self.artefact, self.input, self.device, self.threads
