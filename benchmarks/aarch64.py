"""Bundles on aarch64, under emulation, beside the same bundles on this host: do they find the same?

    python benchmarks/aarch64.py --folder /tmp/aarch64 [--model best.pt --data my.yaml --imgsz 320] [--images 6]

Prints a table in markdown: of each runtime's float32 and int8 file, how many boxes the host found in the first images
of the validation split, how many of them aarch64 found too (of the same class, no side farther than half of the box),
and by how much these differ at most. Not a timing: emulation is 30 to 100 times slower.

The environment is made of Debian's own arm64 packages and aarch64 wheels below `--folder`, without root; it needs
qemu-aarch64-static (apt-get install qemu-user-static), apt-get, dpkg and pip, and ends with a sentence where one is
missing. Runtimes are the newest whose wheels Debian's glibc can load.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.append(str(Path(__file__).parents[1] / "tests"))

import numpy as np

from helpers.bundles import one_row
from helpers.quantized import quantized
from helpers.runtimes import ALL
from optimize.bundle import make
from optimize.data.digits import compose
from optimize.input_size import square
from optimize.prepare import start
from optimize.runtime.litert import LiteRT
from optimize.runtime.ncnn import Ncnn
from optimize.runtime.onnxruntime import OnnxRuntime
from optimize.runtime.openvino import OpenVino
from optimize.store.apply import apply
from optimize.variant import Variant
from optimize.yolo.checkpoint import load, task
from optimize.yolo.dataset import resolve
from optimize.yolo.find import find

TOOLS = "qemu-aarch64-static", "apt-get", "dpkg"
PYTHON = "3.11"  # of Debian 12
DEBS = (
    *("python3.11-minimal", "libpython3.11-minimal", "libpython3.11-stdlib", "python3.11", "libc6", "libgcc-s1"),
    *("libstdc++6", "libexpat1", "zlib1g", "libssl3", "libffi8", "libbz2-1.0", "liblzma5", "libsqlite3-0", "libuuid1"),
    *("libgomp1", "libncursesw6", "libtinfo6", "libreadline8", "media-types"),
)
# of a Cortex-A76; qemu 7.2 shows the host's, at which LiteRT and ONNX Runtime 1.32 crash
CPUINFO = """processor : {}
BogoMIPS : 100.00
Features : fp asimd aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp
CPU implementer : 0x41
CPU architecture: 8
CPU variant : 0x4
CPU part : 0xd0b
CPU revision : 1

"""
GLIBC = (34, 31, 28, 27, 26, 24, 17)  # 2.x that wheels may ask for; Debian 12 has 2.36
WHEELS = {  # of each runtime, without what only its tools need
    "": ("numpy", "pillow"),
    "onnxruntime": ("onnxruntime", "flatbuffers", "protobuf", "packaging"),
    "ncnn": ("ncnn",),
    "litert": ("ai-edge-litert", "backports.strenum", "typing-extensions", "tqdm", "protobuf", "flatbuffers"),
    "openvino": ("openvino", "openvino-telemetry"),
}
MODULES = {"litert": "ai_edge_litert.interpreter"}  # to import, where it is not called like the runtime
RUNTIMES = OnnxRuntime(), Ncnn(), LiteRT(), OpenVino()
HEAD = "runtime", "precision", "images", "boxes", "also on aarch64", "only there", "px", "confidence"


@dataclass(frozen=True)
class Difference:
    """Boxes of the host, those with a match on aarch64, boxes that only that has, and how far matches lie apart."""

    boxes: int
    matched: int
    more: int
    pixels: float
    confidence: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--model", default="digits")
    parser.add_argument("--data", default="digits")
    parser.add_argument("--imgsz", type=int, default=160)
    parser.add_argument("--images", type=int, default=6)
    given = parser.parse_args()
    if missing := [tool for tool in TOOLS if not shutil.which(tool)]:
        print(f"skipped: {', '.join(missing)} is not here; on Debian, apt-get install qemu-user-static brings qemu.")
        return
    folder = given.folder.absolute()
    python = base(folder)
    model, store = find(given.model), folder / "store"
    data = resolve(str(compose(store)) if given.data == "digits" else given.data, task(load(model)))
    images = [str(path) for path in data.val[: given.images]]
    print(f"| {' | '.join(HEAD)} |\n|{'---|' * len(HEAD)}")
    for runtime in RUNTIMES:
        why = runtime.unavailable() or wheels(folder, runtime.info.name)
        if why:
            print(f"| {runtime.info.name} | - | not run: {why} |||||||")
            continue
        exported = apply(runtime.export, start(model, square(given.imgsz)), store)
        for variant in (exported, int8(exported, data, folder)):
            bundle = bundled(variant, folder)
            here = detections([sys.executable], bundle, images)
            there = detections([python, folder / "sites" / runtime.info.name], bundle, images)
            found = different(here, there)
            cells = found.boxes, found.matched, found.more, f"{found.pixels:.3f}", f"{found.confidence:.5f}"
            row = runtime.info.name, variant.precision, len(images), *cells
            print(f"| {' | '.join(map(str, row))} |", flush=True)


def int8(exported: Variant, data, folder: Path) -> Variant:
    """`exported` in int8 by the default recipe of its runtime."""
    target = folder / "int8" / exported.runtime
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    return quantized(exported, data, target)


def bundled(variant: Variant, folder: Path) -> Path:
    place = folder / "bundles" / f"{variant.runtime}_{variant.precision}"
    place.mkdir(parents=True, exist_ok=True)
    row = one_row(variant.path, variant.runtime, variant.precision, imgsz=variant.imgsz.height)
    return make.make(row, tuple(ALL.values()), place)


def detections(python: list, bundle: Path, images: list[str]) -> dict[str, list[dict]]:
    """What the bundle's run.py finds with this Python, by image."""
    out = bundle.parent / ("found_here" if python == [sys.executable] else "found_there")
    shutil.rmtree(out, ignore_errors=True)  # of an earlier call; run.py overwrites nothing
    command = [*python, bundle / "run.py", *images, "--threads", "1", "--out", out]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, encoding="utf-8", errors="replace")
    if done.returncode:
        sys.exit(f"{bundle.parent.name} ended with {done.returncode}: {done.stderr[-2000:]}")
    return json.loads((out / "detections.json").read_text(encoding="utf-8"))


def different(here: dict[str, list[dict]], there: dict[str, list[dict]]) -> Difference:
    """Each box of the host beside the nearest of its class on aarch64 that no other was put beside."""
    boxes, matched, more, pixels, confidence = 0, 0, 0, 0.0, 0.0
    for image, ours in here.items():
        free = list(there[image])
        boxes += len(ours)
        for one in ours:
            same = [(_apart(one, other), i) for i, other in enumerate(free) if other["class"] == one["class"]]
            left, top, right, bottom = one["box"]
            if same and min(same)[0] < min(right - left, bottom - top) / 2:
                apart, i = min(same)
                other = free.pop(i)
                matched += 1
                pixels, confidence = max(pixels, apart), max(confidence, abs(one["confidence"] - other["confidence"]))
        more += len(free)
    return Difference(boxes, matched, more, pixels, confidence)


def _apart(one: dict, other: dict) -> float:
    return float(np.abs(np.subtract(one["box"], other["box"])).max())


def base(folder: Path) -> Path:
    """An aarch64 Python in `folder`: `python SITE script ...` runs a script with the packages in SITE."""
    python, root = folder / "python", folder / "root"
    if not python.exists():
        (folder / "lists/partial").mkdir(parents=True, exist_ok=True)
        (folder / "debs").mkdir(exist_ok=True)
        arm64 = "-oAPT::Architecture=arm64", "-oAPT::Architectures=arm64"
        apt = ["apt-get", "-qq", *arm64, f"-oDir::State::Lists={folder}/lists"]
        subprocess.run([*apt, "update"], check=True)
        subprocess.run([*apt, "download", *DEBS], check=True, cwd=folder / "debs", stderr=subprocess.DEVNULL)
        for deb in (folder / "debs").glob("*.deb"):
            subprocess.run(["dpkg", "-x", deb, root], check=True)
        (root / "proc").mkdir()  # qemu looks there first
        cpus = "".join(map(CPUINFO.format, range(os.cpu_count())))
        (root / "proc/cpuinfo").write_text(cpus, encoding="utf-8")
        variables = f'PYTHONPATH="$site:{folder}/sites/base"', f'PYTHONHOME="{root}/usr"', "PYTHONDONTWRITEBYTECODE=1"
        qemu = f'qemu-aarch64-static -cpu cortex-a76 -L "{root}" {" ".join(f"-E {one}" for one in variables)}'
        script = f'site="$1"; shift\nexec {qemu} "{root}/usr/bin/python{PYTHON}" "$@"'
        python.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
        python.chmod(0o755)
        install(folder / "sites/base", WHEELS[""])
    return python


def wheels(folder: Path, runtime: str) -> str | None:
    """Install what `runtime` needs for aarch64; why it can't be imported there, None where it can."""
    site = folder / "sites" / runtime
    if not site.exists() and (why := install(site, WHEELS[runtime])):
        return why
    words = folder / "python", site, "-c", f"import {MODULES.get(runtime, runtime)}"
    done = subprocess.run(list(map(str, words)), capture_output=True, text=True, encoding="utf-8", errors="replace")
    said = done.stderr.strip().splitlines()
    return None if done.returncode == 0 else f"its import ended with {done.returncode} ({said[-1] if said else ''})"


def install(site: Path, packages: tuple[str, ...]) -> str | None:
    """Unpack the aarch64 wheels of `packages`, and of nothing that they require; pip's last words if there is none."""
    platforms = "manylinux2014_aarch64", *(f"manylinux_2_{version}_aarch64" for version in GLIBC)
    for_arm = [word for platform in platforms for word in ("--platform", platform)]
    for_arm += ["--python-version", PYTHON, "--implementation", "cp", "--no-deps", "--only-binary=:all:"]
    words = [sys.executable, "-m", "pip", "install", "-q", *for_arm, "--target", site, *packages]
    done = subprocess.run(list(map(str, words)), capture_output=True, text=True, encoding="utf-8", errors="replace")
    return None if done.returncode == 0 else done.stderr.strip().splitlines()[-1]


if __name__ == "__main__":
    main()
