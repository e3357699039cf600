"""Bounds beside what is measured here, in float32: a bound above a measurement would be none.

    python benchmarks/bounds.py --models yolov8n.pt yolo26n.pt --imgsz 128 320 --folder /tmp/bounds

Prints a table in markdown; exit code 1 where a bound lies above the lower quartile of the latency. The peaks are those
that `python -m optimize.profile_device` measures. Exported files lie in `--folder` and are not made again; peaks and
times always are.
"""

import argparse
import os
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

from optimize.device.bound import bounds
from optimize.device.device import Device
from optimize.host.quiet import timing
from optimize.host.resources import cores
from optimize.input_size import square
from optimize.measure import latency
from optimize.measure.operations import count
from optimize.prepare import start
from optimize.profile_device import measure_device
from optimize.runtime.onnxruntime import OnnxRuntime
from optimize.runtime.openvino import OpenVino
from optimize.store.apply import apply
from optimize.yolo.checkpoint import deployed, load

HEAD = ("model", "px", "runtime", "bound, ms", "with Winograd, ms", "lower quartile, ms", "bound / quartile")
RUNTIMES = OnnxRuntime(), OpenVino()


def rows(path: Path, imgsz: int, here: Device, given: argparse.Namespace):
    """The table's cells of one model, runtime by runtime, and whether its bound holds."""
    model = start(path, square(imgsz))
    subjects = [(runtime.open, apply(runtime.export, model, given.folder)) for runtime in RUNTIMES]
    with timing():
        times = latency.measure(subjects, given.threads, given.rounds, seed=0).latencies
    found = {b.unit: b for b in bounds(count(deployed(load(path)), square(imgsz)), here) if b.arithmetic == "fp32"}
    for (_, variant), time in zip(subjects, times, strict=True):
        own = found[variant.runtime]
        cells = [
            f"{own.bound_ms:.3g}",
            f"{own.winograd_ms:.3g}",
            f"{time.q1_ms:.3g}",
            f"{own.bound_ms / time.q1_ms:.0%}",
        ]
        yield (path.stem, f"{imgsz}", variant.runtime, *cells), own.bound_ms <= time.q1_ms


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=Path, nargs="+", required=True)
    parser.add_argument("--imgsz", type=int, nargs="+", required=True)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=cores())
    parser.add_argument("--rounds", type=int, default=30)
    given = parser.parse_args()
    with timing():
        here = measure_device(given.threads)
    print(f"| {' | '.join(HEAD)} |\n|{'---|' * len(HEAD)}")
    held = []
    for path in given.models:
        for imgsz in given.imgsz:
            for cells, holds in rows(path, imgsz, here, given):
                print(f"| {' | '.join(cells)} |", flush=True)
                held.append(holds)
    raise SystemExit(0 if all(held) else 1)


if __name__ == "__main__":
    main()
