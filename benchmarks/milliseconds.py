"""What pruning for milliseconds gives, against pruning for FLOPs and against smaller inputs, at equal time.

    python benchmarks/milliseconds.py --shared FOLDER --work FOLDER

For each case the original is pruned by `pruner.target=latency` as a run does it, with depth, and trained. Beside it
stand the same pruned for FLOPs, so many that it takes as long by the clock; the two smaller inputs that bracket its
time, as they are and trained as long; and ultralytics' own int8 export of the original. All files of a case are timed
together, each in three processes, and validated on the images of a report. --shared holds data/NAME/data.yaml and
weights/NAME-MODEL-320.pt, or weights/MODEL-coco-rebuilt.pt to train those from.

The rows of a finished case are written to benchmarks/milliseconds.csv, and what a killed benchmark has made is kept in
--work. Without --shared it only prints what is there.
"""

import argparse
import logging
import sys
from itertools import product
from pathlib import Path

from milliseconds_rows import Case, read, write
from milliseconds_table import show

from optimize.errors import OptimizeError

OUT = Path(__file__).with_suffix(".csv")
BOTH, SHARES = ("openvino-int8", "onnxruntime-int8"), (0.4, 0.6)
CORE = [
    Case(data, model, deployment, share)
    for model, data, deployment, share in product(("yolov8n", "yolo11n"), ("bccd", "deeppcb"), BOTH, SHARES)
]
ABLATIONS = [
    Case("bccd", "yolov8n", BOTH[0], 0.2),
    Case("bccd", "yolov8n", BOTH[0], 0.4, depth=False),
    Case("bccd", "yolov8n", BOTH[0], 0.4, every_precision=True),
    *(Case("bccd", "yolov8n", BOTH[0], share, seed=seed) for seed in (1, 2) for share in SHARES),
]
LARGE = [Case("deeppcb", "yolov8n", BOTH[0], 0.4, imgsz=640, epochs=3)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, help="folder of data sets and weights")
    parser.add_argument("--work", type=Path, default=Path("runs/benchmark_milliseconds"))
    parser.add_argument("--only", default="", help="of the cases those whose name holds this")
    given = parser.parse_args()
    refused = list[str]()
    if given.shared:
        logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
        done = {row.case for row in read(OUT)}
        cases = [case for case in (*CORE, *ABLATIONS, *LARGE) if case not in done and given.only in str(case)]
        refused = _make(cases, given.shared.resolve(), given.work.resolve())
    show(read(OUT))
    sys.exit("\n".join(refused) or None)


def _make(cases: list[Case], shared: Path, work: Path) -> list[str]:
    """Make and write the rows of these cases; why some can't be made, each in a sentence."""
    from milliseconds_make import make  # here, since a clock's process imports this file, too, and needs no torch

    refused = []
    for case in cases:
        try:
            write(OUT, make(case, shared, work))
        except OptimizeError as error:  # a share out of reach, or a clock that can't tell: others may be made
            logging.exception("%s can't be made", case)
            refused.append(f"{case}: {error}")
    return refused


if __name__ == "__main__":
    main()
