"""Whether the scan of layers chooses as well as the one of versions up to 0.3, and what both cost.

    python benchmarks/scan.py --data bccd/data.yaml --weights bccd.pt --out benchmarks/scan.csv

The earlier scan narrowed a block to allowed widths near 25, 50 and 75 %, on 32 images, and computed the whole network
for every one of them. For each seed both scans are made, and the model is cut after each; BatchNorm is re-estimated,
nothing is trained. Each finished row is appended to --out, and a killed benchmark goes on where it stopped; what was
scanned is kept in --work. With no --data it only prints what --out holds. Seconds are those of the processor.
"""

import argparse
import csv
import json
import statistics
import time
from collections.abc import Callable
from copy import deepcopy
from math import sqrt
from pathlib import Path

import numpy as np
import torch
from torch import nn

from optimize.data.calibration import sample
from optimize.dataset import Dataset
from optimize.input_size import Size, square
from optimize.measure.accuracy import Accuracy
from optimize.pruner.blocks import blocks
from optimize.pruner.budget import allowed
from optimize.pruner.prune import prune
from optimize.pruner.scan import SENSITIVITIES, Scan, scan
from optimize.pruner.score import rank
from optimize.pruner.sensitivity import Sensitivities, Sensitivity, narrowed
from optimize.pruner.settings import Pruning
from optimize.pruner.taylor import Taylor
from optimize.pruner.tracker import trace
from optimize.recover.bn import _batches, reestimate
from optimize.runtime.torch import Torch
from optimize.variant import Variant
from optimize.yolo import coupling
from optimize.yolo.checkpoint import load, save
from optimize.yolo.dataset import resolve
from optimize.yolo.loss import batches, losing, loss
from optimize.yolo.validate import validate

SHARES, SEEDS, OLD_IMAGES, OLD_TAYLOR = (0.3, 0.5, 0.6), (0, 1, 2), 32, 128
HEAD = "data", "seed", "scan", "cpu_s", "share", "reached", "score", "folds"


def old_scan(model: nn.Module, imgsz: Size, data: Dataset, seed: int) -> Sensitivities:
    """As `optimize.pruner.sensitivity` of version 0.3 measured, at the default settings of pruning."""
    settings = Pruning(0, Taylor(data, OLD_TAYLOR, seed))
    traced = trace(coupling.traceable(model), imgsz, coupling.RULES, coupling.HALVING, coupling.predictions)
    coupled = blocks(traced)
    ranks = rank(settings.criterion, model, imgsz, traced, coupled)
    labelled = batches(data, OLD_IMAGES, 16, seed, imgsz)
    images = sum(len(batch["img"]) for batch in labelled)
    copy, found = deepcopy(model), []
    with torch.no_grad(), losing(copy, data):
        whole = sum(float(loss(copy, batch, seed)) for batch in labelled)
        for block, scores in zip(coupled, ranks, strict=True):
            if scores is None:
                found.append(Sensitivity(None, (), ()))
                continue
            option = allowed(block, settings.round_to, settings.max_ratio, settings.min_width)
            nearest = {int(np.abs(option - share * option[-1]).argmin()) for share in (0.25, 0.5, 0.75)}
            kept, rises = [int(option[i]) for i in sorted(nearest - {len(option) - 1})], []
            for count in kept:
                with narrowed(traced, block, scores.argsort(kind="stable")[: block.units - count]).without(copy):
                    rises.append((sum(float(loss(copy, batch, seed)) for batch in labelled) - whole) / images)
            found.append(Sensitivity(tuple(scores.tolist()), tuple(kept), tuple(rises)))
    return Sensitivities(tuple(found), {})


def new_scan(model: nn.Module, imgsz: Size, data: Dataset, seed: int) -> Sensitivities:
    return scan(model.to(memory_format=torch.channels_last), imgsz, Scan(Taylor(data, seed=seed), data, seed=seed))


SCANS: dict[str, Callable[[nn.Module, Size, Dataset, int], Sensitivities]] = {
    "old": old_scan,
    "new": new_scan,
}


def scanned(weights: Path, imgsz: Size, data: Dataset, seed: int, which: str, work: Path) -> dict:
    """What a scan measured, and the processor's seconds that it took; from --work if it is there."""
    kept = work / f"{weights.stem}-{data.fingerprint}-{imgsz}-{seed}-{which}.json"
    if not kept.exists():
        began = time.process_time()
        made = SCANS[which](load(weights), imgsz, data, seed)
        seconds = time.process_time() - began
        kept.write_text(json.dumps({"cpu_s": seconds, "blocks": SENSITIVITIES.dump_python(made)}))
    return json.loads(kept.read_text())


def accuracy(weights: Path, imgsz: Size, data: Dataset, share: float, blocks: list[dict], work: Path) -> tuple:
    """The share that was reached, and the accuracy after new BatchNorm statistics."""
    model = load(weights)
    sensitivities = SENSITIVITIES.validate_python(blocks)
    pruning = Pruning(share, Taylor(data), scope="measured", data=data)
    reached = prune(model, imgsz, pruning, sensitivities).reached
    reestimate(model, _batches(sample(data, 256, 0, imgsz)))
    save(model, work / "cut.pt", half=True)
    session = Torch().open(Variant(work / "cut.pt", "torch", "fp32", imgsz), torch.get_num_threads())
    return reached, validate(session, data, imgsz)


def show(path: Path) -> None:
    with path.open(newline="") as file:
        rows = {(row["data"], row["share"], row["seed"], row["scan"]): row for row in csv.DictReader(file)}
    for data, share in sorted({key[:2] for key in rows}):
        seeds = [seed for *where, seed, scan in rows if (*where, scan) == (data, share, "old")]
        pairs = [tuple(rows.get((data, share, seed, which)) for which in SCANS) for seed in seeds]
        old, new = zip(*(pair for pair in pairs if all(pair)), strict=True)
        differences = [100 * (float(b["score"]) - float(a["score"])) for a, b in zip(old, new, strict=True)]
        images = _of(new).error_of_difference(_of(old)) or 0.0
        spread = statistics.stdev(differences) / sqrt(len(differences)) if len(differences) > 1 else 0.0
        times = [sum(float(row["cpu_s"]) for row in side) for side in (old, new)]
        scores = [statistics.mean(float(row["score"]) for row in side) for side in (old, new)]
        each, error = ", ".join(f"{d:+.1f}" for d in differences), 2 * sqrt((100 * images) ** 2 + spread**2)
        print(
            f"{data} -{float(share):.0%}: {scores[0]:.4f} -> {scores[1]:.4f}, {statistics.mean(differences):+.2f} "
            f"points ({each}), two standard errors {error:.2f}; {times[1] / times[0]:.3f} of the processor's time"
        )


def _of(rows: tuple[dict, ...]) -> Accuracy:
    """The mean of several accuracies on the same images."""
    folds = np.mean([json.loads(row["folds"]) for row in rows], axis=0)
    return Accuracy({"mAP50-95": statistics.mean(float(row["score"]) for row in rows)}, 0, {}, folds=tuple(folds))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", nargs="*", default=[])
    parser.add_argument("--weights", type=Path, nargs="*", default=[], help="one for each data set")
    parser.add_argument("--imgsz", type=int, default=320)
    parser.add_argument("--seeds", type=int, nargs="*", default=SEEDS)
    parser.add_argument("--work", type=Path, default=Path("/tmp/scan-benchmark"))
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".csv"), help="csv, which is added to")
    parser.add_argument("--threads", type=int, default=2)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    given.work.mkdir(parents=True, exist_ok=True)
    if not given.out.exists():
        given.out.write_text(f"{','.join(HEAD)}\n")
    with given.out.open(newline="") as file:
        done = {tuple(row[key] for key in ("data", "seed", "scan", "share")) for row in csv.DictReader(file)}
    imgsz = square(given.imgsz)
    for seed in given.seeds:
        for yaml, weights in zip(given.data, given.weights, strict=True):
            data, name = resolve(yaml), Path(yaml).parent.name
            for which in SCANS:
                measured = scanned(weights, imgsz, data, seed, which, given.work)
                for share in SHARES:
                    if (name, str(seed), which, str(share)) in done:
                        continue
                    reached, found = accuracy(weights, imgsz, data, share, measured["blocks"], given.work)
                    cells = f"{measured['cpu_s']:.1f}", share, f"{reached:.4f}", f"{found.score:.4f}"
                    with given.out.open("a", newline="") as file:
                        csv.writer(file).writerow([name, seed, which, *cells, json.dumps(found.folds)])
    show(given.out)


if __name__ == "__main__":
    main()
