"""Every head in int8 against float: family x task x runtime.

    python benchmarks/heads.py

No trained weights are shipped for most of these models, so each learns images of squares for some seconds first:
enough for a metric that a broken int8 would destroy, too little to say what int8 costs on real images. SQNR, the
power of the signal over that of the error in dB, is that of the part of the outputs that keeps least.
"""

import argparse
import logging
import os
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

os.environ.setdefault("OMP_NUM_THREADS", "1")  # on tiny tensors more threads cost more than they save

sys.path.append(str(Path(__file__).parents[1] / "tests"))
from helpers.lively import lively
from helpers.noise import signal_to_noise
from helpers.quantized import quantized
from helpers.tiny_tasks import CLASSES, SIDE, write_dataset
from optimize.data.calibration import CalibrationImages
from optimize.dataset import Dataset
from optimize.input_size import square
from optimize.runtime.onnxruntime import OnnxRuntime
from optimize.runtime.openvino import OpenVino
from optimize.variant import Variant
from optimize.yolo.dataset import resolve
from optimize.yolo.progress import stdout_to_stderr
from optimize.yolo.train import finetune
from optimize.yolo.validate import validate

ENDINGS = {"detect": "", "segment": "-seg", "pose": "-pose", "obb": "-obb", "classify": "-cls"}
MODELS = (
    *((f"{family}{ending}", task) for family in ("yolov8n", "yolo11n", "yolo26n") for task, ending in ENDINGS.items()),
    *(("yolov10n", "detect"), ("yolo12n", "detect"), ("yolov8n-rtdetr", "rtdetr")),
)
CELLS = ("model", "task", "runtime", "metric", "float", "int8", "points", "SQNR dB", "of")
PICTURES, BATCH = 96, 8
SLOW_LEARNERS = {"classify": 3, "rtdetr": 3}  # times the epochs: much augmentation; matching queries to objects


def trained(name: str, data: Dataset, epochs: int, folder: Path) -> Variant:
    """The model after `epochs` of training from random weights."""
    start = lively(f"{name}.yaml", folder / "start.pt", classes=len(data.names), imgsz=SIDE)
    epochs *= SLOW_LEARNERS.get(data.task, 1)
    settings = {"epochs": epochs, "imgsz": SIDE, "batch": BATCH, "device": "cpu", "seed": 0}
    return Variant(finetune(start, data.yaml, folder, **settings).path, "torch", "fp32", square(SIDE))


def rows(name: str, task: str, epochs: int, folder: Path):
    """The table's cells of one model, runtime by runtime."""
    data = resolve(str(write_dataset(folder / "data", task, PICTURES)), task)
    model = trained(name, data, epochs, folder)
    for runtime in (OnnxRuntime(), OpenVino()):
        for made in ("float", "int8"):
            (folder / runtime.info.name / made).mkdir(parents=True)
        source = runtime.export(model, folder / runtime.info.name / "float")
        variant = quantized(source, data, folder / runtime.info.name / "int8")
        with stdout_to_stderr():
            before, after = (validate(runtime.open(v, threads=1), data, square(SIDE)) for v in (source, variant))
        images = CalibrationImages(data.val[:16], square(SIDE), data, 0)
        noise = signal_to_noise(variant, source, images, task, CLASSES[task])
        worst = min(noise, key=noise.get)
        scores = f"{before.score:.4f}", f"{after.score:.4f}", f"{100 * (after.score - before.score):+.1f}"
        if not before.score:
            scores = ("-",) * 3
        yield name, task, runtime.info.name, before.metric, *scores, f"{noise[worst]:.1f}", worst


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=[name for name, _ in MODELS])
    parser.add_argument("--epochs", type=int, default=8)
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    for cells in (CELLS, ("---",) * len(CELLS)):
        print(f"| {' | '.join(cells)} |", flush=True)
    for name, task in (pair for pair in MODELS if pair[0] in args.models):
        with TemporaryDirectory() as folder:
            for cells in rows(name, task, args.epochs, Path(folder)):
                print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
