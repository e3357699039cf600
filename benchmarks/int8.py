"""Every int8 recipe of every runtime, beside ultralytics' own int8 export of the same model: what it loses and gains.

    python benchmarks/int8.py --model best.pt --data my.yaml --imgsz 320 --folder /tmp/int8

Prints a table in markdown. Points are of the task's metric, against the float32 file in the same runtime; all files are
validated alike and timed interleaved, once per number of threads. OpenVINO runs in float32 where a file is not int8,
but for the rows marked bf16, which is what stock ultralytics gets on a CPU that has it. Files and accuracies lie in
`--folder` and are not made again; times always are.
"""

import argparse
import json
import os
import shutil
from dataclasses import replace
from pathlib import Path
from time import perf_counter

os.environ.setdefault("OMP_NUM_THREADS", "1")

from optimize.data.calibration import calibration_images
from optimize.dataset import Dataset
from optimize.host.cpu import int8_cpu
from optimize.input_size import square
from optimize.judge import Judge
from optimize.runtime.onnxruntime import OnnxRuntime
from optimize.runtime.openvino import OpenVino, cpu_computes_bf16
from optimize.runtime.session import Runtime
from optimize.variant import Variant
from optimize.yolo.checkpoint import load, task
from optimize.yolo.dataset import resolve
from optimize.yolo.progress import stdout_to_stderr

RUNTIMES = (OnnxRuntime(), OpenVino())
FORMATS = {"onnxruntime": "onnx", "openvino": "openvino"}
HEAD = ("runtime", "recipe", "mAP", "points", "MB", "in int8", "s to make")


def files(model: Variant, runtime: Runtime, data: Dataset, folder: Path) -> list[tuple[str, Variant, float]]:
    """Name, file and seconds to make: float32 first, ultralytics' second, then bf16 and every recipe of ours."""
    source, _ = made(folder / "float", lambda target: runtime.export(model, target).path)
    float32 = Variant(source, runtime.info.name, "fp32", model.imgsz)
    theirs, seconds = made(folder / "ultralytics", lambda target: stock(model, runtime, data, target))
    found = [("float32", float32, None), ("ultralytics int8", replace(float32, path=theirs, precision="int8"), seconds)]
    if runtime.info.name == "openvino" and cpu_computes_bf16():
        found.append(("bf16", replace(float32, precision="bf16"), None))
        found.append(("ultralytics int8, bf16", replace(float32, path=theirs, precision="bf16"), None))
    for recipe in runtime.int8_recipes(int8_cpu()):

        def write(target: Path, recipe=recipe) -> Path:
            images = calibration_images(data, 128, seed=0, imgsz=model.imgsz)
            runtime.quantizer(float32.path, images, recipe).write(target / source.name)
            return target / source.name

        path, seconds = made(folder / recipe.name, write)
        found.append((recipe.name, replace(float32, path=path, precision="int8"), seconds))
    return found


def made(folder: Path, make) -> tuple[Path, float]:
    """The path that `make(folder)` gives and the seconds it took, from the folder where it was done before."""
    note = folder / "made.json"
    if not note.is_file():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        began = perf_counter()
        path = make(folder)
        note.write_text(json.dumps({"path": str(path), "seconds": perf_counter() - began}), encoding="utf-8")
    done = json.loads(note.read_text(encoding="utf-8"))
    return Path(done["path"]), done["seconds"]


def stock(model: Variant, runtime: Runtime, data: Dataset, folder: Path) -> Path:
    """Ultralytics' own int8 export; it calibrates on what it finds in the data.yaml."""
    from ultralytics import YOLO

    copy = Path(shutil.copy(model.path, folder / "model.pt"))
    settings = {"quantize": 8, "data": str(data.yaml), "imgsz": model.imgsz.sides, "batch": 1, "device": "cpu"}
    with stdout_to_stderr():
        return Path(YOLO(copy).export(format=FORMATS[runtime.info.name], **settings))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--data", required=True)
    parser.add_argument("--imgsz", type=int, required=True)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--threads", type=int, nargs="*", default=[1, 2], help="none: no times")
    parser.add_argument("--rounds", type=int, default=20)
    args = parser.parse_args()
    (args.folder / "store").mkdir(parents=True, exist_ok=True)
    data = resolve(args.data, task(load(args.model)))
    model = Variant(args.model, "torch", "fp32", square(args.imgsz))
    columns = (*HEAD, *(f"{of}, {n} threads" for n in args.threads for of in ("x float32", "x ultralytics")))
    for cells in (columns, ("---",) * len(columns)):
        print(f"| {' | '.join(cells)} |", flush=True)
    for runtime in RUNTIMES:
        found = files(model, runtime, data, args.folder / runtime.info.name)
        judge = Judge(data, RUNTIMES, args.folder / "store", max(args.threads or [1]), args.rounds, seed=0)
        scores = [judge.score(variant).score for _, variant, _ in found]
        shares = [judge.open(variant).int8_ops / judge.count(variant).ops for _, variant, _ in found]
        times = [replace(judge, threads=n).time([v for _, v, _ in found]).latencies for n in args.threads]
        for i, (name, variant, seconds) in enumerate(found):
            size = sum(file.stat().st_size for file in [variant.path, *variant.path.rglob("*")] if file.is_file())
            points = f"{100 * (scores[i] - scores[0]):+.1f}" if i else "-"
            cells = [runtime.info.name, name, f"{scores[i]:.4f}", points, f"{size / 1e6:.2f}"]
            cells += [f"{shares[i]:.0%}", f"{seconds:.0f}" if seconds else "-"]
            for latencies in times:
                cells += [f"{latencies[i].speedup:.2f}", f"{latencies[i].speedup / latencies[1].speedup:.2f}"]
            print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
