"""How well a latency table predicts networks that it was not made of.

    python benchmarks/latency_table.py --model best.pt --imgsz 320 --precision int8 --out benchmarks/latency_table.csv

Makes the table, then draws networks with random widths, with --depth of random blocks, that lose 10 to 70 % of the
FLOPs, none of which made the table, deploys them as the table's are, and times them in turns with the original.
Predicted and timed share of the original's time are appended to --out for each network. Without --model it only prints
what --out holds.
"""

import argparse
import csv
from collections import defaultdict
from pathlib import Path
from shutil import rmtree
from time import perf_counter

import numpy as np

from optimize.host.cpu import int8_cpu
from optimize.host.cpu import name as cpu_name
from optimize.host.resources import cores
from optimize.input_size import square

if __name__ == "__main__":  # a clock's process imports this file, too, and needs no torch
    from optimize.measure.operations import count
    from optimize.pruner.latency import make, timing
    from optimize.pruner.latency.deployment import Deployment
    from optimize.pruner.latency.fit import fit
    from optimize.pruner.latency.networks import Drawn, Traced, deploy, draw, made, traced
    from optimize.pruner.latency.predict import PredictedLatency
    from optimize.runtime.onnxruntime import OnnxRuntime
    from optimize.runtime.openvino import OpenVino
    from optimize.yolo.checkpoint import deployed, load
    from optimize.yolo.depth import removable

NETWORKS, LEAST, MOST = 40, 0.1, 0.7  # networks, and shares of the FLOPs that they lose
HEAD = (
    *("cpu", "model", "imgsz", "deployment", "networks", "table_s", "table_noise", "noise"),
    *("flops_left", "original_ms", "predicted", "timed", "depth"),
)


def pick(source: "Traced", flops: int, imgsz: int, depth: bool) -> list[tuple["Drawn", float]]:
    """Networks at random, and the share of the FLOPs that each is left with."""
    found, seed = list[tuple[Drawn, float]](), 1000
    while len(found) < NETWORKS:
        rng, branches = np.random.default_rng(seed), removable(source.model) if depth else ()
        for one in draw(source, NETWORKS, seed)[1:]:
            share = rng.random()  # of the branches of this network
            drawn = Drawn(one.kept, tuple(branch for branch in branches if rng.random() < share))
            left = count(deployed(made(source, drawn, seed)), square(imgsz)).flops / flops
            if 1 - MOST <= left <= 1 - LEAST:
                found.append((drawn, left))
        seed += 1
    order = np.random.default_rng(0).permutation(len(found))[:NETWORKS]
    return [found[i] for i in order]


def compare(given: argparse.Namespace) -> None:
    size, model = square(given.imgsz), load(given.model)
    source, flops = traced(model, size), count(deployed(model), size).flops
    given.folder.mkdir(parents=True, exist_ok=True)
    runtime = {"onnxruntime": OnnxRuntime, "openvino": OpenVino}[given.runtime]()
    here = Deployment(
        given.runtime,
        given.precision,
        cores(),
        cpu_name() or "",
        "",
        "",
        runtime=runtime,
        store=given.folder,
        int8_cpu=int8_cpu(),
    )
    began = perf_counter()
    samples = make.samples_of(source, size, here, seed=0)
    seconds = perf_counter() - began
    predict = PredictedLatency(fit(samples), source.trace, source.blocks)
    full = np.array([block.units for block in source.blocks])
    others = pick(source, flops, given.imgsz, given.depth)
    place = given.folder / "networks"
    rmtree(place, ignore_errors=True)
    place.mkdir()
    networks = [
        deploy(made(source, drawn, i), runtime, given.precision, size, place / str(i), here.int8_cpu)
        for i, drawn in enumerate([Drawn(full), *(drawn for drawn, _ in others)])
    ]
    timed = timing.timed(runtime, networks, here.threads, seed=1)
    about = (cpu_name(), given.model.stem, given.imgsz, here, len(samples.networks), f"{seconds:.0f}")
    noises = f"{samples.noise:.4f}", f"{timed.noise:.4f}"
    with given.out.open("a", newline="") as file:
        for (drawn, left), share in zip(others, timed.shares, strict=True):
            shares = left, timed.milliseconds, float(predict(drawn.kept, drawn.gone) / predict(full)), share
            csv.writer(file).writerow([*about, *noises, *(f"{value:.4f}" for value in shares), given.depth])


def show(path: Path) -> None:
    with path.open(newline="") as file:
        kept = list(csv.DictReader(file))
    kinds = defaultdict[tuple[str, ...], list[dict[str, str]]](list)
    for one in kept:
        depth = "widths and blocks" if one["depth"] == "True" else "widths alone"
        kinds[one["model"], one["imgsz"], one["deployment"], depth, f"original {one['original_ms']} ms"].append(one)
    for kind, rows in kinds.items():
        errors = np.array([float(row["predicted"]) / float(row["timed"]) - 1 for row in rows])
        by_flops = np.array([float(row["flops_left"]) / float(row["timed"]) - 1 for row in rows])
        figures = [f"{100 * value:.1f}" for value in (np.median(abs(errors)), abs(errors).max(), np.median(errors))]
        print(
            f"{' '.join(kind)}: {np.mean(abs(errors) <= 0.1):.0%} of {len(rows)} networks within 10 %; median error "
            f"{figures[0]} %, worst {figures[1]} %, bias {figures[2]} %; by FLOPs alone median "
            f"{100 * np.median(abs(by_flops)):.1f} %; table made in {rows[0]['table_s']} s of "
            f"{rows[0]['networks']} networks; A/A {float(rows[0]['noise']):.1%}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--imgsz", type=int, default=640)
    parser.add_argument("--runtime", choices=("onnxruntime", "openvino"), default="openvino")
    parser.add_argument("--precision", default="int8")
    parser.add_argument("--depth", action="store_true", help="of random blocks, too")
    parser.add_argument("--folder", type=Path, default=Path("latency_table"))
    parser.add_argument("--out", type=Path, required=True, help="csv, which is added to")
    given = parser.parse_args()
    if not given.out.exists():
        given.out.write_text(f"{','.join(HEAD)}\n")
    if given.model:
        compare(given)
    show(given.out)


if __name__ == "__main__":
    main()
