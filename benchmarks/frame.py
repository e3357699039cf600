"""What a frame takes from pixels to boxes, in a bundle's run.py, in the one before it, and in ultralytics' predict.

    python benchmarks/frame.py --model yolov8n.pt --data my.yaml --folder /tmp/frame --prepare
    python benchmarks/frame.py --model yolov8n.pt --data my.yaml --folder /tmp/frame

The first command makes the int8 file at 640 px, 200 JPEGs and a video of 1920x1080 out of the images of the data; the
second, with nothing beside it, prints three tables in markdown. *Stages*: medians and quartiles of milliseconds of
each stage alone, in random turns, for three sizes of frames; the graph's are taken in the same turns. *Beside
predict*: what `YOLO(file).predict` says of its own stages for a frame of 1920x1080 in memory, in turns with run.py's.
*Frame rates*: of the whole command, without the time to load, in turns, each in a process of its own with as many
threads. "Before" is the run.py of version 0.3; "f32" is ultralytics told to compute in float32 what is not int8, as
run.py does.

    python benchmarks/frame.py --model m.pt --data my.yaml --imgsz 320 --folder /tmp/frame320 --fast

prints what --fast-decode changes in boxes, and in the metric by ultralytics' own validation.
"""

import argparse
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import cache, partial
from importlib import import_module
from multiprocessing import get_context
from pathlib import Path
from time import perf_counter
from types import ModuleType

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.append(str(Path(__file__).parents[1] / "tests"))

import cv2
import numpy as np
from aarch64 import different
from PIL import Image, ImageOps

from helpers.bundles import device, one_row
from helpers.quantized import quantized
from helpers.runtimes import ALL
from optimize.bundle import make
from optimize.input_size import square
from optimize.prepare import start
from optimize.runtime.session import Runtime
from optimize.variant import Variant
from optimize.yolo.checkpoint import load, task
from optimize.yolo.dataset import resolve

FRAMES = (2304, 1296), (1600, 1200), (1920, 1080)
IMAGES, ROUNDS, TURNS = 200, 3, 40
BEFORE = "0c261ec"  # the last commit with a run.py of one file
STOCK = """
import json, os, sys, time
source, model, imgsz, out = sys.argv[1:]
import torch
torch.set_num_threads(os.cpu_count())
if "F32" in os.environ:  # OpenVINO by default computes what is not int8 in bf16 where the CPU can
    import openvino
    compile_model = openvino.Core.compile_model
    def pinned(core, *words, config=None, **more):
        hint = {"INFERENCE_PRECISION_HINT": openvino.Type.f32}
        return compile_model(core, *words, config=(config or {}) | hint, **more)
    openvino.Core.compile_model = pinned
from ultralytics import YOLO
yolo = YOLO(model, task="detect")
options = dict(imgsz=int(imgsz), stream=True, verbose=False, device="cpu")
list(yolo.predict("warm.png", **options))  # loads the model
began = time.perf_counter()
boxes = [result.boxes.data.tolist() for result in yolo.predict(source, **options)]
print(f"{len(boxes)} frames, {len(boxes) / (time.perf_counter() - began):.1f} per second;")
json.dump(boxes, open(out, "w"))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", required=True)
    parser.add_argument("--data", required=True)
    parser.add_argument("--imgsz", type=int, default=640)
    parser.add_argument("--runtime", choices=("openvino", "onnxruntime"), default="openvino")
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--prepare", action="store_true")
    parser.add_argument("--fast", action="store_true")
    parser.add_argument("--stages", action="store_true", help="leave out the frame rates")
    given = parser.parse_args()
    folder, data = given.folder.absolute(), resolve(given.data, task(load(Path(given.model))))
    if not (folder / "bundle").exists():
        prepare(folder, start(Path(given.model), square(given.imgsz)), data, ALL[given.runtime])
    for script in make.SCRIPTS:  # as they are now
        shutil.copyfile(script, folder / "bundle" / script.name)
    os.chdir(folder)
    if given.fast:
        fast(folder, data, Path(given.model), given.imgsz)
    elif not given.prepare:
        stages(folder)
        beside_predict(folder, given.imgsz)
        if not given.stages:
            rates(folder, given.imgsz)


def prepare(folder: Path, model: Variant, data, runtime: Runtime) -> None:
    """Write the bundle of an int8 file, the same with its earlier run.py, both environments, JPEGs and a video."""
    for name in ("exported", "int8", "jpegs"):
        shutil.rmtree(folder / name, ignore_errors=True)
        (folder / name).mkdir(parents=True)
    variant = quantized(runtime.export(model, folder / "exported"), data, folder / "int8")
    device(folder / "numpy", "numpy", "pillow", variant.runtime)
    device(folder / "opencv", "numpy", "pillow", variant.runtime, "opencv-python")
    files, size = [*data.val, *data.train], (1920, 1080)
    video = cv2.VideoWriter(str(folder / "clip.mp4"), cv2.VideoWriter_fourcc(*"mp4v"), 25, size)
    for number in range(IMAGES):
        image = ImageOps.fit(Image.open(files[number % len(files)]).convert("RGB"), size, Image.Resampling.BICUBIC)
        image.save(folder / "jpegs" / f"{number:03}.jpg", quality=90)
        video.write(np.ascontiguousarray(np.asarray(image)[..., ::-1]))
    video.release()
    image.resize((640, 360)).save(folder / "warm.png")
    bundle = make.make(one_row(variant.path, variant.runtime, "int8", imgsz=variant.imgsz.height), (runtime,), folder)
    shutil.copytree(bundle, folder / "before", dirs_exist_ok=True)
    for name in ("run.py", "model.py"):
        command = ["git", "-C", Path(__file__).parent, "show", f"{BEFORE}:optimize/bundle/files/{name}"]
        (folder / "before" / name).write_bytes(subprocess.run(command, check=True, capture_output=True).stdout)


def modules(folder: Path, *names: str) -> list[ModuleType]:
    """Modules of a bundle, apart from those of the same names in another."""
    sys.path.insert(0, str(folder))
    for name in ("run", "model", "letterbox", "boxes", "frames", "writing", "image", "device"):
        sys.modules.pop(name, None)
    found = [import_module(name) for name in names]
    sys.path.remove(str(folder))
    return found


def stages(folder: Path) -> None:
    """Print what each stage of a frame takes from a raw frame in memory, for a photograph of each size."""
    (before,) = modules(folder / "before", "run")
    letterbox, boxes, model = modules(folder / "bundle", "letterbox", "boxes", "model")
    bundle, threads = model.read_bundle(), model.cores()
    run, _ = model.open_model(bundle, threads)
    cv2.setNumThreads(threads)
    side = bundle["imgsz"]["height"]
    inputs = np.empty((1, 3, side, side), np.float32)
    print(f"| frame | stage | before | numpy and Pillow | OpenCV |\n|{'---|' * 5}")
    for size in FRAMES:
        pixels = np.asarray(Image.open(folder / "jpegs" / "000.jpg").resize(size))
        old = before.fit(pixels, (side, side), bundle["letterbox"])[0]

        def fit(library: ModuleType | None, pixels: np.ndarray = pixels) -> None:
            letterbox.cv2 = library
            letterbox.fit(pixels, (0, 1, 2), bundle["letterbox"], inputs)

        for library in (None, cv2):
            fit(library)
            if not (inputs == old).all():
                sys.exit(f"error: {library} and the earlier run.py differ for {size}.")
        output = run(inputs)
        calls = {
            "before": partial(before.fit, pixels, (side, side), bundle["letterbox"]),
            "numpy": partial(fit, None),
            "cv2": partial(fit, cv2),
            "graph": partial(run, inputs),
            "NMS before": lambda output=output: before.decode(before.checked(output, bundle), bundle),
            "NMS": lambda output=output: boxes.decode(model.checked(output, bundle), bundle),
        }
        ms = in_turns(calls)
        found, name = len(calls["NMS"]()[0]), f"{size[0]}x{size[1]}"
        print(f"| {name} | letterbox, /255 | {show(ms['before'])} | {show(ms['numpy'])} | {show(ms['cv2'])} |")
        print(f"| {name} | graph, int8, {threads} threads | | {show(ms['graph'])} | |")
        print(f"| {name} | post-processing, {found} boxes | {show(ms['NMS before'])} | {show(ms['NMS'])} | |")
        total = [ms[a] + ms[b] for a, b in (("before", "NMS before"), ("numpy", "NMS"), ("cv2", "NMS"))]
        cells = (f"{show(one)}, {np.median(one / ms['graph']):.0%}" for one in total)
        print(f"| {name} | all but the graph, share of the graph | {' | '.join(cells)} |", flush=True)


def beside_predict(folder: Path, imgsz: int) -> None:
    """Print the stages that ultralytics tells of its own, and run.py's, in random turns, each in its own process."""
    ways = {"predict": partial(theirs, imgsz), "numpy": partial(ours, None), "cv2": partial(ours, cv2.__name__)}
    workers = {name: ProcessPoolExecutor(1, get_context("spawn")) for name in ways}
    found: dict[str, list[np.ndarray]] = {name: [] for name in ways}
    for image in sorted((folder / "jpegs").iterdir())[: TURNS + 5]:
        for name in random.sample(list(ways), len(ways)):
            found[name].append(workers[name].submit(ways[name], folder / "bundle", image).result())
    for worker in workers.values():
        worker.shutdown()
    print("\n| stage, 1920x1080 | predict | numpy and Pillow | OpenCV |\n|---|---|---|---|")
    ms = [np.array(taken[5:]) for taken in found.values()]
    for number, stage in enumerate(("letterbox, /255", "graph, int8", "post-processing")):
        print(f"| {stage} | {' | '.join(show(taken[:, number]) for taken in ms)} |")
    print(f"| all | {' | '.join(show(taken.sum(1)) for taken in ms)} |", flush=True)


def theirs(imgsz: int, bundle: Path, image: Path) -> np.ndarray:
    """Milliseconds of the stages that ultralytics tells of a frame in memory; one frame before is not timed."""
    stock = opened_by_ultralytics(bundle)
    pixels = np.asarray(Image.open(image))[..., ::-1].copy()
    results = [stock.predict(pixels, imgsz=imgsz, verbose=False, device="cpu")[0] for _ in range(2)]
    return np.array([results[-1].speed[stage] for stage in ("preprocess", "inference", "postprocess")])


@cache
def opened_by_ultralytics(bundle: Path):
    import torch
    from ultralytics import YOLO

    torch.set_num_threads(os.cpu_count() or 1)
    about = json.loads((bundle / "bundle.json").read_text(encoding="utf-8"))
    return YOLO(bundle / about["artefact"], task="detect")


def ours(library: str | None, folder: Path, image: Path) -> np.ndarray:
    """The same stages of run.py."""
    letterbox, boxes, model, bundle, run, inputs = opened_by_us(folder)
    letterbox.cv2 = cv2 if library else None
    pixels = np.asarray(Image.open(image))
    for _ in range(2):
        times = [perf_counter()]
        letterbox.fit(pixels, (0, 1, 2), bundle["letterbox"], inputs)
        times.append(perf_counter())
        output = run(inputs)
        times.append(perf_counter())
        boxes.decode(model.checked(output, bundle), bundle)
        times.append(perf_counter())
    return 1e3 * np.diff(times)


@cache
def opened_by_us(folder: Path) -> tuple:
    os.chdir(folder.parent)
    letterbox, boxes, model = modules(folder, "letterbox", "boxes", "model")
    bundle = model.read_bundle()
    cv2.setNumThreads(model.cores())
    height, width = (bundle["imgsz"][side] for side in ("height", "width"))
    run, _ = model.open_model(bundle, model.cores())
    return letterbox, boxes, model, bundle, run, np.empty((1, 3, height, width), np.float32)


def in_turns(calls: dict[str, Callable[[], object]]) -> dict[str, np.ndarray]:
    """Milliseconds of every call, one in each turn, in random order; five more turns before are not timed."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(TURNS + 5):
        for name in random.sample(list(calls), len(calls)):
            began = perf_counter()
            calls[name]()
            times[name].append(1e3 * (perf_counter() - began))
    return {name: np.array(taken[5:]) for name, taken in times.items()}


def show(times: np.ndarray) -> str:
    low, middle, high = np.percentile(times, [25, 50, 75])
    return f"{middle:.2f} [{low:.2f}-{high:.2f}]"


def rates(folder: Path, imgsz: int) -> None:
    """Print frames per second over the folder and the video, and how far the boxes are from ultralytics'."""
    artefact = json.loads((folder / "bundle" / "bundle.json").read_text(encoding="utf-8"))["artefact"]
    print("\n| source | ultralytics | f32 | run.py, OpenCV | numpy and Pillow | before | px, confidence |")
    print(f"|{'---|' * 7}")
    for source, ways in (("jpegs", ("opencv", "numpy", "before")), ("clip.mp4", ("opencv",))):
        rounds: dict[str, list[float]] = {way: [] for way in ("stock", "f32", *ways)}
        for number in range(ROUNDS):
            for way in random.sample(list(rounds), len(rounds)):
                if way == "before" and number:
                    continue  # it is far off, and takes minutes
                rounds[way].append(rate(folder, way, source, artefact, imgsz))
        cells = [f"{statistics.median(rounds['stock']):.1f}"]
        for way in ("f32", "opencv", "numpy", "before"):
            pairs = [ours / stock for ours, stock in zip(rounds.get(way, []), rounds["stock"], strict=False)]
            spread = f" [{min(pairs):.2f}-{max(pairs):.2f}]" if len(pairs) > 1 else ""
            cells += (
                [f"{statistics.median(rounds[way]):.1f}, {statistics.median(pairs):.2f}x{spread}"] if pairs else ["-"]
            )
        print(f"| {source} | {' | '.join(cells)} | {apart(folder, source)} |", flush=True)


def rate(folder: Path, way: str, source: str, artefact: str, imgsz: int) -> float:
    """Frames per second of one whole process; its boxes lie in `folder`/found_`way` or boxes_`way`.json."""
    environment = os.environ.copy() | {"OMP_NUM_THREADS": str(os.cpu_count())}
    words = [sys.executable, "-c", STOCK, source, folder / "bundle" / artefact, imgsz, f"boxes_{way}.json"]
    if way == "f32":
        environment["F32"] = "1"
    elif way != "stock":
        shutil.rmtree(folder / f"found_{way}", ignore_errors=True)
        script = folder / ("before" if way == "before" else "bundle") / "run.py"
        sources = sorted((folder / source).iterdir()) if way == "before" else [source]
        words = [sys.executable, "-S", script, *sources, "--out", f"found_{way}"]
        environment["PYTHONPATH"] = str(folder / ("opencv" if way == "opencv" else "numpy"))
    if way == "before":  # it does not tell, and then writes copies: the time from the first line to the last
        environment["PYTHONUNBUFFERED"] = "1"
        with subprocess.Popen(list(map(str, words)), env=environment, stdout=subprocess.PIPE, text=True) as process:
            times = [perf_counter() for _ in zip(range(IMAGES), process.stdout or (), strict=False)]
            process.kill()
        return (len(times) - 1) / (times[-1] - times[0])
    done = subprocess.run(list(map(str, words)), env=environment, capture_output=True, text=True)
    line = next((line for line in done.stdout.splitlines() if " per second" in line), None)
    if done.returncode or line is None:
        sys.exit(f"{way} ended with {done.returncode}: {done.stderr[-2000:]}")
    print(f"{way}, {source}: {line}", file=sys.stderr)
    return float(line.split(" per second")[0].split()[-1])


def apart(folder: Path, source: str) -> str:
    """The largest differences from ultralytics' boxes, which must be as many."""
    theirs = json.loads((folder / "boxes_f32.json").read_text(encoding="utf-8"))
    found = folder / "found_opencv"
    if source == "jpegs":
        ours = list(json.loads((found / "detections.json").read_text(encoding="utf-8")).values())
    else:
        lines = (found / "clip.jsonl").read_text(encoding="utf-8").splitlines()
        ours = [json.loads(line)["objects"] for line in lines]
    rows = [[[*one["box"], one["confidence"], one["class"]] for one in objects] for objects in ours]
    if [len(one) for one in rows] != [len(one) for one in theirs]:
        return "not as many boxes"
    boxes = [np.array([box for one in side for box in one]) for side in (rows, theirs)]
    gap = np.abs(boxes[0] - boxes[1]).max(0)
    return f"{len(boxes[0])} boxes: {gap[:4].max():.4f}, {gap[4]:.5f}; {int(gap[5] > 0)} classes"


def fast(folder: Path, data, model: Path, imgsz: int) -> None:
    """Print what --fast-decode changes: boxes of the int8 bundle, and the metric of the float model."""
    from ultralytics import YOLO

    (decoder,) = modules(folder / "bundle", "image")
    images = [str(path) for path in data.val]
    found = []
    for name, words in (("slow", []), ("fast", ["--fast-decode"])):
        shutil.rmtree(folder / f"found_{name}", ignore_errors=True)
        command = [sys.executable, folder / "bundle" / "run.py", *images, *words, "--out", folder / f"found_{name}"]
        subprocess.run(list(map(str, command)), check=True, capture_output=True)
        found.append(json.loads((folder / f"found_{name}" / "detections.json").read_text(encoding="utf-8")))
        for path in images:  # as it is decoded, with its labels, for stock val
            target = folder / name / "images" / f"{Path(path).stem}.png"
            target.parent.mkdir(parents=True, exist_ok=True)
            image, _ = decoder.open_image(path, (imgsz, imgsz) if words else None)
            image.save(target)
            label = Path(path.replace("/images/", "/labels/")).with_suffix(".txt")
            (folder / name / "labels").mkdir(exist_ok=True)
            if label.exists():
                shutil.copy(label, folder / name / "labels" / label.name)
        about = {"train": "images", "val": "images", "names": YOLO(model).names}
        (folder / name / "data.yaml").write_text(json.dumps(about), encoding="utf-8")
    changed, scores = different(*found), []
    for name in ("slow", "fast"):
        options = {"imgsz": imgsz, "rect": False, "workers": 0, "device": "cpu", "plots": False, "verbose": False}
        scores.append(YOLO(model).val(data=folder / name / "data.yaml", project=folder / "val", **options).box.map)
    print("| images | boxes | also fast | only fast | px, at most | confidence, at most | mAP50-95 | fast |")
    print(f"|{'---|' * 8}\n| {len(images)} | {changed.boxes} | {changed.matched} | {changed.more}", end=" | ")
    print(f"{changed.pixels:.1f} | {changed.confidence:.3f} | {scores[0]:.4f} | {scores[1]:.4f} |")


if __name__ == "__main__":
    main()
