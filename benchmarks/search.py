"""The search's best variant against the best of a grid that costs as many jobs, on the embedded default.

python benchmarks/search.py [JOBS] [EPOCHS] [KEY=VALUE ...] prints a table; the limit is 1 point. Both share one store,
and so stages. Both winners and the originals are then timed together, since the times of two sweeps can't be compared.
"""

import subprocess
import sys
from pathlib import Path

from optimize.report import results
from optimize.sweep.search.objective import worth
from optimize.sweep.sweep import read

GRID = ["prune=0,0.2,0.4", "imgsz=160,128", "quant=none,int8", "rivals=none"]  # 12 jobs


def swept(folder: Path, words: list[str]) -> None:
    command = [sys.executable, "-m", "optimize", *words, "limits.max_drop=1"]
    subprocess.run([*command, f"hydra.sweep.dir={folder}"], check=False)  # it goes on where it was stopped


def main(count: str = "12", epochs: str = "2", *words: str) -> None:
    words = [f"epochs={epochs}", *words]
    folders = {"search": Path("runs/benchmark_search"), "grid": Path("runs/benchmark_grid")}
    swept(folders["search"], ["experiment=search", f"hydra.sweeper.trials={count}", *words])
    swept(folders["grid"], ["-m", *GRID, *words])
    first = results.read(folders["search"] / "0" / "results.json")
    print(f"original: {first.results[0].accuracy.score:.4f}\n")
    print("| by | jobs | minutes | the best job | row | mAP50-95 | points | ms |\n|---|---|---|---|---|---|---|---|")
    sweeps = {by: read(folder) for by, folder in folders.items()}
    every = [(by, number, report) for by, sweep in sweeps.items() for number, report in sweep.reports.items()]
    found, _ = worth(first, [report for *_, report in every])
    for by, sweep in sweeps.items():
        own = [(one, number) for (name, number, _), one in zip(every, found, strict=True) if name == by and one]
        meeting = [(one, number) for one, number in own if all(excess <= 0 for excess in one.excess.values())]
        if not meeting:
            print(f"| {by} | {len(sweep.jobs)} | | nothing loses less than a point | | | | |")
            continue
        one, number = min(meeting, key=lambda pair: pair[0].milliseconds)
        told = {job.number: job for job in sweep.jobs}
        minutes = sum(job.ended - job.began for job in sweep.jobs) / 60
        lost = 100 * (one.score - first.results[0].accuracy.score)
        asked = " ".join(word for word in told[number].overrides if word.split("=")[0] in SEARCHED)
        print(
            f"| {by} | {len(sweep.jobs)} | {minutes:.0f} | {number}: {asked} | {one.row} | {one.score:.4f} | "
            f"{lost:+.1f} | {one.milliseconds:.2f} |"
        )


SEARCHED = ("prune", "pruner", "pruner.round_to", "quant", "imgsz")

if __name__ == "__main__":
    main(*sys.argv[1:])
