"""How often `optimize.compare` tells a slow-down of 5 %, and how often it tells one where there is none.

    python benchmarks/compare.py --files a.onnx b.onnx --folder /tmp/compare --out benchmarks/compare.csv

Each ONNX file is timed in ONNX Runtime and, converted, in OpenVINO. Beside each lies one that is 5 % slower: a
convolution of the input is added, with as many channels as that takes. Pairs of the same file and pairs of both are
compared in turns, in random order. Each pair is appended to --out with the times of all visits as soon as it is
compared, and a killed benchmark goes on where it stopped. At the end, pairs of the same file are resampled: processes
are dealt to two sides at random, and rounds are drawn with replacement. Without --files it only prints what --out
holds.
"""

import argparse
import csv
import json
from pathlib import Path
from random import Random

import numpy as np
import onnx
import openvino as ov
from onnx import helper, numpy_helper

from optimize.host.cpu import name as cpu_name
from optimize.host.quiet import timing
from optimize.input_size import Size
from optimize.measure import slowdown
from optimize.measure.latency import Subject
from optimize.runtime.onnxruntime import OnnxRuntime
from optimize.runtime.openvino import OpenVino
from optimize.variant import Variant

SAME, SLOWER, RESAMPLED = 50, 20, 2000  # pairs
ASKED, CLOSE, TRIES = 0.05, 0.01, 4  # slow-down, and how close the slower file must come to it
HEAD = (  # the last two are visits, as JSON
    *("cpu", "kind", "pair", "file", "old_ms", "new_ms"),
    *("share", "at_least", "slower", "old", "new"),
)


def burdened(source: Path, channels: int, target: Path) -> None:
    """Write `source` with a convolution of its input to `channels` channels more, which changes no output visibly."""
    model = onnx.load(source)
    graph, output = model.graph, model.graph.output[0].name
    for node in graph.node:
        node.output[:] = [f"{name}_light" if name == output else name for name in node.output]
    weight = np.random.default_rng(0).normal(0, 0.1, (channels, 3, 3, 3)).astype(np.float32)
    graph.initializer.extend(
        [numpy_helper.from_array(weight, "burden"), numpy_helper.from_array(np.float32(1e-20), "burden_scale")]
    )
    image = graph.input[0].name
    axes = [1, 2, 3]
    graph.initializer.append(numpy_helper.from_array(np.array(axes, np.int64), "burden_axes"))
    graph.node.extend(
        [
            helper.make_node("Conv", [image, "burden"], ["burden_a"], strides=[2, 2], pads=[1] * 4),
            helper.make_node("Relu", ["burden_a"], ["burden_b"]),
            helper.make_node("GlobalAveragePool", ["burden_b"], ["burden_c"]),
            helper.make_node("ReduceMean", ["burden_c", "burden_axes"], ["burden_d"], keepdims=0),
            helper.make_node("Mul", ["burden_d", "burden_scale"], ["burden_e"]),
            helper.make_node("Add", [f"{output}_light", "burden_e"], [output]),
        ]
    )
    onnx.save(model, target)


def subject(file: Path, runtime: str, folder: Path) -> Subject:
    """How to open `file`, an ONNX file, in a runtime."""
    shape = onnx.load(file).graph.input[0].type.tensor_type.shape.dim
    size = Size(shape[2].dim_value, shape[3].dim_value)
    if runtime == "onnxruntime":
        return OnnxRuntime().open, Variant(file, runtime, "fp32", size)
    place = folder / f"{file.stem}_openvino_model"
    ov.save_model(ov.convert_model(file), place / f"{file.stem}.xml", compress_to_fp16=False)
    return OpenVino().open, Variant(place, runtime, "fp32", size)


def slower(file: Path, name: str, runtime: str, threads: int, folder: Path) -> Subject:
    """The same file, burdened until it takes 5 % longer."""
    plain, channels = subject(file, runtime, folder), 24.0
    for _ in range(TRIES):
        target = folder / f"{name}-slower-{runtime}.onnx"
        burdened(file, max(1, round(channels)), target)
        other = subject(target, runtime, folder)
        with timing():
            visits = slowdown.times(plain, other, threads, 0, slowdown.ROUNDS, slowdown.OPENED)
        share = slowdown.compared(*visits).share
        print(f"{name} on {runtime}: {round(channels)} channels take {share:.1%} longer", flush=True)
        if abs(share - ASKED) <= CLOSE:
            break
        channels = max(1.0, channels * ASKED / max(share, ASKED / 4))
    return other


def show(path: Path) -> None:
    with path.open(newline="") as file:
        kept = list(csv.DictReader(file))
    for kind in ("slower", "same"):
        of_kind = [one for one in kept if one["kind"] == kind]
        told = [one for one in of_kind if one["slower"] == "True"]
        shares = [100 * float(one["share"]) for one in of_kind]
        if shares:
            quartiles = ", ".join(f"{value:.1f}" for value in np.percentile(shares, [0, 25, 50, 75, 100]))
            print(f"{kind}: {len(told)} of {len(of_kind)} told as slower; % longer (quartiles): {quartiles}")
    if same := [one for one in kept if one["kind"] == "same"]:
        alarms = sum(resampled(same, np.random.default_rng(seed)) for seed in range(RESAMPLED))
        print(f"resampled: {alarms} of {RESAMPLED} pairs of the same file told as slower")


def resampled(same: list[dict[str, str]], random: np.random.Generator) -> bool:
    one = same[random.integers(len(same))]
    visits = np.concatenate([json.loads(one["old"]), json.loads(one["new"])])
    rounds = random.integers(visits.shape[1], size=visits.shape[1])
    dealt = random.permutation(visits)[:, rounds]
    half = len(dealt) // 2
    return slowdown.compared(dealt[:half], dealt[half:]).slower


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=Path, nargs="*", default=[])
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--out", type=Path, required=True, help="csv, which is added to")
    parser.add_argument("--threads", type=int, default=2)
    given = parser.parse_args()
    if not given.out.exists():
        given.out.write_text(f"{','.join(HEAD)}\n")
    csv.field_size_limit(2**24)
    with given.out.open(newline="") as file:
        done = {(one["kind"], int(one["pair"])) for one in csv.DictReader(file)}
    if given.files:
        given.folder.mkdir(parents=True, exist_ok=True)
        both = ("onnxruntime", "openvino")
        kinds = [(f"{file.parents[2].name}-{file.stem}", file, runtime) for file in given.files for runtime in both]
        plain = {kind: subject(kind[1], kind[2], given.folder / kind[0]) for kind in kinds}
        other = {kind: slower(kind[1], kind[0], kind[2], given.threads, given.folder) for kind in kinds}
        wanted = [("same", i) for i in range(SAME)] + [("slower", i) for i in range(SLOWER)]
        for kind, i in Random(0).sample(wanted, len(wanted)):
            if (kind, i) in done:
                continue
            which = kinds[i % len(kinds)]
            with timing():
                both = plain[which], (plain if kind == "same" else other)[which]
                old, new = slowdown.times(*both, given.threads, i, slowdown.ROUNDS, slowdown.OPENED)
            found = slowdown.compared(old, new)
            figures = [f"{v:.4f}" for v in (found.old_ms, found.new_ms, found.share, found.at_least)]
            visits = [json.dumps([[round(float(ms), 4) for ms in process] for process in side]) for side in (old, new)]
            with given.out.open("a", newline="") as file:
                name = f"{which[0]} {which[2]}"
                csv.writer(file).writerow([cpu_name(), kind, i, name, *figures, found.slower, *visits])
    show(given.out)


if __name__ == "__main__":
    main()
