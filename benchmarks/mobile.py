"""ncnn and LiteRT beside OpenVINO, float32 and int8 each: accuracy, size and time.

    python benchmarks/mobile.py --models yolov8n.pt yolo11n.pt --data my.yaml --imgsz 320 --folder /tmp/mobile

Prints a table in markdown. Points are of the task's metric against torch; int8 is what `quant=int8` makes, layers
returned to float where it loses more than a point. All files of a model are timed interleaved; "x OpenVINO" is the
median time of its float32 file there over that of the row. Files and accuracies lie in `--folder` and are not made
again; times always are.
"""

import argparse
import json
import os
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

from optimize.dataset import Dataset
from optimize.input_size import square
from optimize.judge import Judge
from optimize.prepare import start
from optimize.quant.int8 import Int8
from optimize.runtime.litert import LiteRT
from optimize.runtime.ncnn import Ncnn
from optimize.runtime.openvino import OpenVino
from optimize.runtime.session import Runtime
from optimize.runtime.torch import Torch
from optimize.store.apply import REPORT, apply
from optimize.verdict.plain import change
from optimize.yolo.checkpoint import load, task
from optimize.yolo.dataset import resolve

HEAD = ("model", "runtime", "arithmetic", "metric", "points", "MB", "in int8", "float layers", "ms", "x OpenVINO")


def rows(path: Path, data: Dataset, imgsz: int, runtimes: tuple[Runtime, ...], judge: Judge):
    """The table's cells of one model, runtime by runtime."""
    model = start(path, square(imgsz))
    made, said = [], []
    for runtime in runtimes:
        exported = apply(runtime.export, model, judge.store)
        int8 = apply(Int8(data, judge), exported, judge.store)
        made += [exported, int8]
        said += [{}, json.loads((int8.path.parent / REPORT).read_text(encoding="utf-8"))]
    latencies = judge.time(made).latencies if judge.rounds else [None] * len(made)
    reference = judge.score(model).score
    for variant, report, latency in zip(made, said, latencies, strict=True):
        found, cost, session = judge.score(variant).score, judge.count(variant), judge.open(variant)
        size = sum(file.stat().st_size for file in [variant.path, *variant.path.rglob("*")] if file.is_file())
        cells = [path.stem, variant.runtime, session.arithmetic, f"{found:.4f}", change(100 * (found - reference))]
        cells += [f"{size / 1e6:.2f}", f"{session.int8_ops / cost.ops:.0%}", str(len(report.get("float_layers", ())))]
        times = [f"{latency.median_ms:.2f}", f"{latencies[0].median_ms / latency.median_ms:.2f}"] if latency else "--"
        yield *cells, *times


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=Path, nargs="+", required=True)
    parser.add_argument("--data", required=True)
    parser.add_argument("--imgsz", type=int, required=True)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--runtimes", nargs="*", default=["ncnn", "litert"], help="beside openvino")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=30, help="0: no times")
    args = parser.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    runtimes = (OpenVino(), *(runtime for runtime in (Ncnn(), LiteRT()) if runtime.info.name in args.runtimes))
    for cells in (HEAD, ("---",) * len(HEAD)):
        print(f"| {' | '.join(cells)} |", flush=True)
    for path in args.models:
        data = resolve(args.data, task(load(path)))
        judge = Judge(data, (Torch(), *runtimes), args.folder, args.threads, args.rounds, seed=0)
        for cells in rows(path, data, args.imgsz, runtimes, judge):
            print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
