"""What a deployment pays besides its calls: time to load a file, time to the first result, and memory.

Each is measured in a new process that imports numpy and the runtime by the module that bundles copy, and nothing else
of weight.
"""

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

from optimize.errors import MeasurementError
from optimize.host.memory import resident
from optimize.variant import Variant

STARTS = 3  # processes; times are their medians, memory is that of the first
CALLS = 50  # in the first process: runtimes take memory in the first calls


@dataclass(frozen=True)
class StartUp:
    """What it takes to open a file in a new process, the file being in the page cache.

    Attributes:
        load_ms: from the path to a model that can be called.
        first_ms: of the first call, on an image of noise.
        peak_bytes: the most main memory of the process (resident set size) up to its fiftieth call.
        before_bytes: what the process took when Python, numpy and the runtime were imported, before it opened the file.
    """

    load_ms: float
    first_ms: float
    peak_bytes: int
    before_bytes: int

    @property
    def model_bytes(self) -> int:
        """What the model added at most."""
        return self.peak_bytes - self.before_bytes


def measure(device_file: Path, variant: Variant, threads: int, progress: Callable[[], object] = bool) -> StartUp:
    """Start processes that open `variant` by the module `device_file` (see `Runtime.device_file`).

    Args:
        device_file: of the variant's runtime.
        variant: a deployed file.
        threads: CPU threads.
        progress: called after each process.

    Raises:
        MeasurementError: a process fails.
    """
    starts = []
    for number in range(STARTS):
        size = variant.imgsz
        words = (device_file, variant.path, variant.precision, threads, size.height, size.width, 1 if number else CALLS)
        command = [sys.executable, "-m", "optimize.measure.start_up", *map(str, words)]
        done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", errors="replace")
        if done.returncode:
            why = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
            raise MeasurementError(f"{variant.name} on {variant.runtime} can't be opened in a new process: {why}")
        starts.append(json.loads(done.stdout.splitlines()[-1]))
        progress()
    return StartUp(
        load_ms=median(start["load_ms"] for start in starts),
        first_ms=median(start["first_ms"] for start in starts),
        peak_bytes=starts[0]["peak_bytes"],
        before_bytes=starts[0]["before_bytes"],
    )


def main(
    device_file: str, path: str, precision: str, threads: str, height: str, width: str, calls: str
) -> dict[str, Any]:
    """In the new process: open the file, call it `calls` times, and return the fields of `StartUp`."""
    import numpy as np

    spec = spec_from_file_location("device", device_file)
    if spec is None or spec.loader is None:
        raise MeasurementError(f"{device_file} is no Python module")
    device = module_from_spec(spec)
    spec.loader.exec_module(device)
    device.version()  # imports the runtime
    image = np.random.default_rng(0).random((1, 3, int(height), int(width)), dtype=np.float32)
    before, _ = resident()
    began = perf_counter()
    run, _ = device.open_model(Path(path), precision, int(threads))
    loaded = perf_counter()
    run(image)
    called = perf_counter()
    for _ in range(int(calls) - 1):
        run(image)
    return {
        "load_ms": 1e3 * (loaded - began),
        "first_ms": 1e3 * (called - loaded),
        "peak_bytes": resident()[1],
        "before_bytes": before,
    }


if __name__ == "__main__":
    print(json.dumps(main(*sys.argv[1:])))
