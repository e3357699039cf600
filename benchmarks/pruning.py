"""What pruning and recovery keep of a detector, against what its user could do instead.

    python benchmarks/pruning.py --data bccd/data.yaml --weights yolov8n-coco-rebuilt.pt

Trains a baseline with stock ultralytics, then gives every row the same number of epochs. Rivals: the unpruned model at
a smaller input with the same FLOPs, as it is and trained on at that size for the same budget; a narrower model from the
same yaml, trained for the same budget; random channels; and, as the control, the unpruned model trained on at full
size.

Each row is made once and kept in --work, so a killed benchmark goes on where it stopped, and more --seeds or --epochs
add rows. Jobs run side by side with one thread each, which is more work per second than one job on all cores.
"""

import argparse
import json
import os
import statistics
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import torch

from optimize.dataset import Dataset
from optimize.input_size import square
from optimize.measure import validation
from optimize.measure.operations import count
from optimize.prepare import shrink
from optimize.pruner.bn import BN
from optimize.pruner.l2 import L2
from optimize.pruner.lamp import LAMP
from optimize.pruner.prune import Prune
from optimize.pruner.random import Random
from optimize.pruner.settings import Pruning
from optimize.pruner.taylor import Taylor
from optimize.recover.bn import BatchNorm
from optimize.recover.finetune import Finetune
from optimize.runtime.torch import Torch
from optimize.stage import Stage
from optimize.store.apply import apply, digest
from optimize.variant import Variant
from optimize.yolo import checkpoint
from optimize.yolo.dataset import resolve
from optimize.yolo.train import finetune
from optimize.yolo.validate import validate

SHARES = (0.3, 0.5)


@dataclass(frozen=True)
class Baseline:
    """Stage: stock ultralytics trains the weights on the data, as a user would have."""

    data: Dataset
    epochs: int

    def __call__(self, variant: Variant, folder: Path) -> Variant:
        from ultralytics import YOLO

        model = YOLO(variant.path)
        model.add_callback("on_train_start", lambda trainer: torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"])))
        side = variant.imgsz.height
        settings = {"imgsz": side, "batch": 16, "seed": 0, "device": "cpu", "amp": False, "plots": False}
        model.train(data=self.data.yaml, epochs=self.epochs, project=folder, name="train", exist_ok=True, **settings)
        return replace(variant, path=folder / "train/weights/last.pt")


@dataclass(frozen=True)
class TrainOn:
    """Stage: our schedule on a model that was not pruned, at its variant's input size."""

    data: Dataset
    epochs: int
    seed: int

    def __call__(self, variant: Variant, folder: Path) -> Variant:
        settings = {"imgsz": variant.imgsz, "batch": 16, "device": "cpu", "seed": self.seed}
        done = finetune(variant.path, self.data.yaml, folder, epochs=self.epochs, **settings)
        return replace(variant, path=done.path)


@dataclass(frozen=True)
class Narrow:
    """Stage: the variant's own yaml with the width multiple that costs `1 - share` of its FLOPs; random weights."""

    share: float
    seed: int

    def __call__(self, variant: Variant, folder: Path) -> Variant:
        dense = checkpoint.load(variant.path)
        budget = (1 - self.share) * count(checkpoint.deployed(dense), variant.imgsz).flops
        torch.manual_seed(self.seed)
        depth, width, most = dense.yaml["scales"][dense.yaml["scale"]]
        best, distance = None, float("inf")
        for percent in range(40, 100):
            yaml = dense.yaml | {"scales": {"n": (depth, width * percent / 100, most)}, "scale": "n"}
            made = type(dense)(yaml, verbose=False)
            found = abs(count(checkpoint.deployed(made), variant.imgsz).flops - budget)
            if found < distance:
                best, distance = made, found
        best.names, best.args, best.task = dense.names, dense.args, dense.task
        checkpoint.save(best, folder / "narrow.pt")
        return replace(variant, path=folder / "narrow.pt")


@dataclass(frozen=True)
class Row:
    """One line of the table: what was done to the baseline at which input size, and with which seed."""

    name: str
    share: float
    seed: int
    imgsz: int
    stages: tuple[Stage, ...] = field(repr=False)


def rows(baseline: Path, data: Dataset, imgsz: int, epochs: int, seeds: int) -> list[Row]:
    """Every row, the most telling first."""
    recovery = {
        "fine-tuned": lambda seed: Finetune(data, epochs, baseline, device="cpu", seed=seed),
        "distilled": lambda seed: Finetune(data, epochs, baseline, device="cpu", seed=seed, distill=True),
    }
    measured = {"scope": "measured", "data": data}
    cuts = {
        "Taylor, measured layers": lambda share, seed: Pruning(share, Taylor(data, seed=seed), **measured, seed=seed),
        "random channels, measured layers": lambda share, seed: Pruning(share, Random(seed), **measured),
        "Taylor": lambda share, seed: Pruning(share, Taylor(data, seed=seed)),
        "L2": lambda share, seed: Pruning(share, L2()),
        # within a layer it ranks as L2 does
        "LAMP, global": lambda share, seed: Pruning(share, LAMP(), scope="global", max_ratio=0.5),
        "BatchNorm scale": lambda share, seed: Pruning(share, BN()),
        "random channels": lambda share, seed: Pruning(share, Random(seed)),
    }
    found = [Row("original", 0, 0, imgsz, ())]
    found += [Row("original, trained on", 0, 0, imgsz, (TrainOn(data, epochs, 0),))]
    for share in SHARES:
        small = _smaller(imgsz, share)
        found += [Row(f"original at {side} px", share, 0, side, ()) for side in small]
        for how, recover in recovery.items():
            for name, cut in cuts.items():
                repeated = seeds if name.startswith("Taylor") and how == "fine-tuned" else 1
                for seed in range(repeated):
                    stages = (Prune(cut(share, seed)), BatchNorm(data), recover(seed))
                    found.append(Row(f"{name}, {how}", share, seed, imgsz, stages))
        steps = shrink(
            Pruning(share, Taylor(data), original=baseline, steps=3), [BatchNorm(data), recovery["fine-tuned"](0)]
        )
        found.append(Row("Taylor in 3 steps, fine-tuned", share, 0, imgsz, steps))
        side = small[0]
        found.append(Row(f"original at {side} px, trained on", share, 0, side, (TrainOn(data, epochs, 0),)))
        narrow = (Narrow(share, 0), TrainOn(data, epochs, 0))
        found.append(Row("narrower model, trained from random weights", share, 0, imgsz, narrow))
    return found


def _smaller(imgsz: int, share: float) -> list[int]:
    """The multiples of 32 whose FLOPs, which go with the square of the side, lie around `1 - share`; nearest first."""
    sides = sorted(range(32, imgsz, 32), key=lambda side: abs(side**2 / imgsz**2 - (1 - share)))
    return sides[:2]


def measure(row: Row, baseline: Path, data: Dataset, work: Path) -> dict:
    """Make the row's variant, or find it, and validate it as it is deployed."""
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    variant = Variant(baseline, "torch", "fp32", square(row.imgsz), steps=(digest(baseline), f"imgsz={row.imgsz}"))
    seconds = 0.0
    for stage in row.stages:
        variant = apply(stage, variant, work)
        report = variant.path.parent / "report.json"
        seconds += json.loads(report.read_text(encoding="utf-8"))["seconds"] if report.is_file() else 0
    cost = count(checkpoint.deployed(checkpoint.load(variant.path)), square(row.imgsz))
    session = Torch().open(variant, 1)
    identity = (digest(variant.path), str(row.imgsz), data.fingerprint)
    kept = validation.validate_once(work, identity, partial(validate, session, data, square(row.imgsz)))
    score = kept.accuracy.score
    return {**asdict(replace(row, stages=())), "flops": cost.flops, "map": score, "seconds": round(seconds)}


def table(done: list[dict], epochs: int) -> str:
    """The rows as markdown, best first within a share; a row with several seeds shows mean and extremes."""
    original = next(row for row in done if row["name"] == "original")
    lines = [
        f"After {epochs} epochs for every row that trains. Points are 0.01 of mAP50-95, against the original.",
        "",
        "| target | what | FLOPs | mAP50-95 | points | seeds |",
        "|---|---|---|---|---|---|",
    ]
    for share in (0, *SHARES):
        groups: dict[str, list[dict]] = {}
        for row in done:
            if row["share"] == share:
                groups.setdefault(row["name"], []).append(row)
        for name, group in sorted(groups.items(), key=lambda item: -statistics.mean(r["map"] for r in item[1])):
            scores = [row["map"] for row in group]
            mean, flops = statistics.mean(scores), group[0]["flops"] / original["flops"] - 1
            spread = f" ({min(scores):.4f} to {max(scores):.4f})" if len(scores) > 1 else ""
            points = 100 * (mean - original["map"])
            lines.append(
                f"| {-share:.0%} | {name} | {flops:+.1%} | {mean:.4f}{spread} | {points:+.1f} | {len(scores)} |"
            )
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="data.yaml")
    parser.add_argument("--weights", type=Path, help="from which the baseline is trained")
    parser.add_argument("--baseline", type=Path, help="a trained baseline, instead of training one")
    parser.add_argument("--imgsz", type=int, default=320)
    parser.add_argument("--baseline-epochs", type=int, default=30)
    parser.add_argument("--epochs", type=int, default=10, help="of recovery, the same for every row")
    parser.add_argument("--seeds", type=int, default=3, help="of the rows with Taylor, fine-tuned")
    parser.add_argument("--only", default="", help="of the rows that are made, those whose name holds this")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--work", type=Path, default=Path("runs/benchmark_pruning"))
    args = parser.parse_args()
    args.work = args.work.resolve()
    data = resolve(str(args.data))
    baseline = args.baseline
    if baseline is None:
        start = Variant(args.weights, "torch", "fp32", square(args.imgsz), steps=(digest(args.weights),))
        baseline = apply(Baseline(data, args.baseline_epochs), start, args.work).path
    jobs = [r for r in rows(baseline, data, args.imgsz, args.epochs, args.seeds) if args.only in r.name or not r.stages]
    os.environ["OMP_NUM_THREADS"] = "1"  # of the jobs, which inherit it
    done = []
    with ProcessPoolExecutor(args.jobs, mp_context=get_context("spawn")) as pool:
        make = partial(measure, baseline=baseline.resolve(), data=data, work=args.work)
        for future in as_completed([pool.submit(make, row) for row in jobs]):
            done.append(future.result())
            print(json.dumps(done[-1]), flush=True)
    text = table(done, args.epochs)
    (args.work / f"{args.epochs}_epochs.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
