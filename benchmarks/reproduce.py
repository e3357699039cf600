"""How often a finished run is reproduced: its timing alone, and the whole run from the beginning.

A repetition of the timing is one timing of all rows. The command times again, at most twice, where times differ; so
from each repetition on, what it would say follows from that one and the next two.

    python benchmarks/reproduce.py --run runs/demo --timings 20 --wholes 3 --out benchmarks/reproduce.csv

Every row of every repetition is appended to --out as soon as its repetition has ended, and a killed benchmark goes on
with the next one; without --timings and --wholes it only prints what --out holds.
"""

import argparse
import csv
from collections.abc import Callable
from pathlib import Path
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
    """Whether FLOPs, accuracy and hash are equal; speed-ups with quartiles; the noise; what differs; milliseconds."""
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
        return reproduce.run_again(old, Path(folder) / "run")


def differs(one: dict[str, str]) -> bool:
    """Whether a row takes another time than it took, as `Repeated`; of milliseconds by the medians alone."""
    then, low, high, now, now_low, now_high, noise, then_ms, now_ms = (
        float(one[name])
        for name in ("then", "then_low", "then_high", "now", "now_low", "now_high", "noise", "then_ms", "now_ms")
    )
    speed = (high < now_low or now_high < low) and abs(now / then - 1) > noise
    return speed and abs(now_ms / then_ms - 1) > noise


def show(path: Path) -> None:
    with path.open(newline="") as file:
        kept = [one for one in csv.DictReader(file) if one["same"] != "missing"]
    for kind in dict.fromkeys(one["kind"] for one in kept):
        of_kind = [one for one in kept if one["kind"] == kind]
        equal = sum(one["same"] == "equal" for one in of_kind)
        repetitions = len({one["repetition"] for one in of_kind})
        print(f"{kind}: {repetitions} times; FLOPs, accuracy and hash equal in {equal} of {len(of_kind)} rows")
    timed = [one for one in kept if one["kind"] == "timing"]
    if not timed:
        return
    numbers = sorted({int(one["repetition"]) for one in timed})
    bad = {number: set[str]() for number in numbers}
    for one in filter(differs, timed):
        bad[int(one["repetition"])].add(one["row"])
    first = sum(not bad[number] for number in numbers)
    windows = [[bad[i] for i in (number, number + 1, number + 2)] for number in numbers if number + 2 in bad]
    said = sum(not set.intersection(*window) for window in windows)
    print(f"the first timing reproduces all rows in {first} of {len(numbers)}")
    print(f"one of up to three timings reproduces each row in {said} of {len(windows)}")
    for row in dict.fromkeys(one["row"] for one in timed):
        speeds, times = ([float(one[name]) for one in timed if one["row"] == row] for name in ("now", "now_ms"))
        told = next(one for one in timed if one["row"] == row)
        print(
            f"  {row}: {float(told['then']):.2f}x, then {min(speeds):.2f} to {max(speeds):.2f}x; "
            f"{float(told['then_ms']):.2f} ms, then {min(times):.2f} to {max(times):.2f} ms"
        )


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
