"""The report's clock against two others, and against itself with more rows.

    python benchmarks/clock.py --runs runs/small runs/large --turns 7 --out benchmarks/clock.csv --folder /tmp/clock

Five OpenVINO files of these runs, over the whole range of their latencies, are timed in every turn by the report's
clock, by OpenVINO's own benchmark_app and by bench.py in a bundle. A machine's speed changes within seconds, so each of
the two others stands between two timings by the report's clock and is compared with their geometric mean. Then these
five and ten more rows are open at once, and rounds of all are visited in turns with rounds of the five alone. Each time
is appended to --out as soon as it is measured, and a killed benchmark goes on where it stopped; without --turns it only
prints what --out holds.
"""

import argparse
import csv
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from math import sqrt
from pathlib import Path
from random import Random
from shutil import rmtree, which

import numpy as np

from optimize.bundle import make
from optimize.host.cpu import name as cpu_name
from optimize.host.quiet import timing
from optimize.measure import clock, latency
from optimize.report import results
from optimize.result import Report, Result
from optimize.runtime.onnxruntime import OnnxRuntime
from optimize.runtime.openvino import OpenVino
from optimize.runtime.torch import Torch

RUNTIMES = {runtime.info.name: runtime for runtime in (Torch(), OnnxRuntime(), OpenVino())}
FILES, MORE = 5, 10
ROUNDS, SECONDS = 12, 4  # of the clocks that make visits; of each row and of benchmark_app
HEAD = "cpu", "turn", "row", "clock", "ratio", "ms"

Row = tuple[Report, Result]


def name(row: Row) -> str:
    variant = row[1].variant
    return f"{variant.name}, {variant.imgsz} px, {variant.runtime} {variant.precision}"


def chosen(rows: list[Row]) -> tuple[list[Row], list[Row]]:
    """Five OpenVINO files over the whole range of latencies, none a rival, which is never bundled; ten other rows."""
    own = [row for row in rows if row[1].variant.runtime == "openvino" and row[1].latency and not row[1].rival]
    own.sort(key=lambda row: row[1].latency.median_ms)
    five = [own[round(i * (len(own) - 1) / (FILES - 1))] for i in range(FILES)]
    others = [row for row in rows if name(row) not in map(name, five)]
    return five, Random(0).sample(others, MORE)


def by_report(row: Row, threads: int) -> float:
    variant = row[1].variant
    with timing():
        found = latency.measure([(RUNTIMES[variant.runtime].open, variant)], threads, ROUNDS, seed=0, seconds=SECONDS)
    return found.latencies[0].median_ms


def by_benchmark_app(row: Row, threads: int, folder: Path) -> float:
    variant, settings = row[1].variant, folder / "benchmark_app.json"
    settings.write_text(json.dumps({"CPU": {"INFERENCE_NUM_THREADS": threads}}))
    tool = which("benchmark_app", path=str(Path(sys.executable).parent))
    words = [
        "-m",
        next(variant.path.glob("*.xml")),
        "-d",
        "CPU",
        "-api",
        "sync",
        "-hint",
        "latency",
        "-t",
        f"{SECONDS}",
    ]
    words += ["-load_config", settings, "-infer_precision", "bf16" if variant.precision == "bf16" else "f32"]
    with timing():
        done = subprocess.run([tool, *words], capture_output=True, text=True)
    if (found := re.search(r"Median: +([\d.]+) (ms|us)", done.stdout)) is None:
        raise RuntimeError(f"benchmark_app exit code {done.returncode}: {done.stdout[-1000:]} {done.stderr[-1000:]}")
    return float(found[1]) / (1 if found[2] == "ms" else 1000)


def by_bench(row: Row, threads: int, folder: Path) -> float:
    """The median of bench.py, in a bundle that holds this row."""
    report, result = row
    rmtree(folder / "bench", ignore_errors=True)
    (folder / "bench").mkdir(parents=True)
    alone = replace(report, results=(report.results[0], result))
    bundle = make.make(alone, tuple(RUNTIMES.values()), folder / "bench")
    words = "--threads", str(threads), "--rounds", str(ROUNDS)
    with timing():
        subprocess.run([sys.executable, "bench.py", *words], cwd=bundle, capture_output=True, check=True)
    return json.loads((bundle / "measurement.json").read_text())["median_ms"]


def others(row: Row, given: argparse.Namespace, order: Random) -> Iterator[tuple[str, float, float]]:
    """Name, ratio to the report's clock and milliseconds of each other clock."""
    before = by_report(row, given.threads)
    for other, time in order.sample([("benchmark_app", by_benchmark_app), ("bench.py", by_bench)], 2):
        milliseconds = time(row, given.threads, given.folder)
        after = by_report(row, given.threads)
        yield other, milliseconds / sqrt(before * after), milliseconds
        before = after


def crowd(five: list[Row], more: list[Row], threads: int) -> Iterator[tuple[str, str, float, float]]:
    """For each of the five, by name: the ratio of its time among all rows to that among the five, and its A/A."""
    with ExitStack() as processes, timing():
        workers = []
        for row in (*five, *five, *more):
            variant = row[1].variant
            opener = latency.opener(RUNTIMES[variant.runtime].open, variant, threads, 0)
            workers.append(processes.enter_context(clock.worker(opener)))
        lengths = [clock.length(worker.milliseconds, 2 * ROUNDS) for worker in workers]
        few, many = ([*range(2 * FILES)], [*range(len(workers))])
        times: dict[int, list[np.ndarray]] = {0: [], 1: []}
        for this_round in range(ROUNDS):
            for crowded, members in Random(this_round).sample([(0, few), (1, many)], 2):
                own, visits = [workers[i] for i in members], [lengths[i] for i in members]
                times[crowded].append([float(np.median(t)) for t in clock.in_turns(own, visits, [0], this_round)])
    alone, among = np.array(times[0]), np.array([visited[: 2 * FILES] for visited in times[1]])
    for i, row in enumerate(five):
        yield name(row), "10 more rows", float(np.median(among[:, i] / alone[:, i])), float(np.median(among[:, i]))
        yield name(row), "A/A", float(np.median(alone[:, FILES + i] / alone[:, i])), float(np.median(alone[:, i]))


def show(path: Path) -> None:
    """Median and quartiles over the turns of each clock's ratio to the report's, by row, as a table in markdown."""
    with path.open(newline="") as file:
        kept = [one for one in csv.DictReader(file) if one["row"]]
    ratios: dict[tuple[str, str], list[float]] = {}
    times: dict[str, list[float]] = {}
    for one in kept:
        ratios.setdefault((one["row"], one["clock"]), []).append(float(one["ratio"]))
        times.setdefault(one["row"], []).append(float(one["ms"]) / float(one["ratio"]))
    clocks = list(dict.fromkeys(one["clock"] for one in kept))
    print(f"{kept[0]['cpu']}, {len({one['turn'] for one in kept})} turns, ratios to the report's clock\n")
    print(f"| row | report, ms | {' | '.join(clocks)} |\n|---|---|{'---|' * len(clocks)}")
    for row, milliseconds in times.items():
        quartiles = [np.percentile(ratios[row, one], [25, 50, 75]) for one in clocks]
        cells = [f"{middle:.3f} [{low:.3f}-{high:.3f}]" for low, middle, high in quartiles]
        print(f"| {row} | {np.median(milliseconds):.2f} | {' | '.join(cells)} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, nargs="+", default=[])
    parser.add_argument("--out", type=Path, required=True, help="csv, which is added to")
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--turns", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    given = parser.parse_args()
    if not given.out.exists():
        given.out.write_text(f"{','.join(HEAD)}\n")
    with given.out.open(newline="") as file:
        done = {(one["turn"], one["row"], one["clock"]) for one in csv.DictReader(file)}

    def keep(turn: int, row: str, other: str, ratio: float, milliseconds: float) -> None:
        with given.out.open("a", newline="") as file:
            csv.writer(file).writerow([cpu_name(), turn, row, other, f"{ratio:.4f}", f"{milliseconds:.4f}"])

    if given.turns:
        given.folder.mkdir(parents=True, exist_ok=True)
        reports = [results.read(run / "results.json") for run in given.runs]
        five, more = chosen([(report, row) for report in reports for row in report.results])
    for turn in range(given.turns):
        order = Random(turn)
        for row in order.sample(five, FILES):
            if not {(str(turn), name(row), other) for other in ("benchmark_app", "bench.py")} <= done:
                for found in others(row, given, order):
                    keep(turn, name(row), *found)
        if (str(turn), name(five[-1]), "A/A") not in done:
            for row, *found in crowd(five, more, given.threads):
                keep(turn, row, *found)
    show(given.out)


if __name__ == "__main__":
    main()
