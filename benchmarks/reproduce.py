"""How often a finished run is reproduced: its timing alone, and the whole run from the beginning.

    python benchmarks/reproduce.py --run runs/demo --timings 20 --wholes 3 --out benchmarks/reproduce.csv

Every row of every repetition is appended to --out as soon as its repetition has ended, and a killed benchmark goes on
with the next one; without --timings and --wholes it only prints what --out holds.
"""

import argparse
import csv
from collections.abc import Callable
from pathlib import Path
from shutil import rmtree
from tempfile import TemporaryDirectory

from optimize import reproduce
from optimize.host.cpu import name as cpu_name
from optimize.report import results
from optimize.result import Report
from optimize.verdict.repeated import Repeated, repeated

HEAD = (
    *("cpu", "kind", "repetition", "row", "same"),
    *("then", "then_low", "then_high", "now", "now_low", "now_high", "noise", "differences", "then_ms", "now_ms"),
)


def figures(one: Repeated) -> list[str]:
    """Whether FLOPs, accuracy and hash are equal; both speed-ups with quartiles; the noise; what differs in words; times."""
    old, new = one.old, one.new
    if new is None:
        return ["missing", *[""] * 7, "; ".join(one.differences), "", ""]
    same = (old.flops, old.accuracy.score, old.sha256) == (new.flops, new.accuracy.score, new.sha256)
    times = (old.time, new.time)
    speeds = [f"{value:.4f}" for t in times for value in (t.speedup, t.speedup_low, t.speedup_high)]
    milliseconds = (f"{t.median_ms:.4f}" for t in times)
    return ["equal" if same else "not equal", *speeds, f"{one.noise:.4f}", "; ".join(one.differences), *milliseconds]


def whole(old: Report) -> Report:
    """The same run again, in a folder that is deleted afterwards."""
    with TemporaryDirectory() as folder:
        new = reproduce.run_again(old, Path(folder) / "run")
        rmtree(Path(folder) / "run")
    return new


def show(path: Path) -> None:
    with path.open(newline="") as file:
        kept = list(csv.DictReader(file))
    for kind in dict.fromkeys(one["kind"] for one in kept):
        of_kind = [one for one in kept if one["kind"] == kind]
        numbers = list(dict.fromkeys(one["repetition"] for one in of_kind))
        differing = {one["repetition"] for one in of_kind if one["differences"]}
        there = [one for one in of_kind if one["same"] != "missing"]
        equal = sum(one["same"] == "equal" for one in there)
        print(f"{kind}: {len(numbers) - len(differing)} of {len(numbers)} repetitions reproduced; in {equal} of")
        print(f"  {len(there)} rows FLOPs, accuracy and hash are equal ({len(of_kind) - len(there)} rivals missing)")
        for one in of_kind:
            if one["differences"]:
                print(f"  {one['repetition']}: {one['row']}: {one['differences']}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path)
    parser.add_argument("--out", type=Path, required=True, help="csv, which is added to")
    parser.add_argument("--timings", type=int, default=0)
    parser.add_argument("--wholes", type=int, default=0)
    given = parser.parse_args()
    if not given.out.exists():
        given.out.write_text(f"{','.join(HEAD)}\n")
    with given.out.open(newline="") as file:
        done = {(one["kind"], int(one["repetition"])) for one in csv.DictReader(file)}

    repetitions: list[tuple[str, int, Callable[[Report], Report]]] = [
        *(("timing", number, reproduce.time_again) for number in range(given.timings)),
        *(("whole", number, whole) for number in range(given.wholes)),
    ]
    old = results.read(given.run / "results.json") if given.run else None
    for kind, number, again in repetitions:
        if old and (kind, number) not in done:
            rows = repeated(old, again(old))
            with given.out.open("a", newline="") as file:
                for one in rows:
                    name = f"{one.old.variant.name} {one.old.variant.runtime}"
                    csv.writer(file).writerow([cpu_name(), kind, number, name, *figures(one)])
    show(given.out)


if __name__ == "__main__":
    main()
