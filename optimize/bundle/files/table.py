"""Measure on this device what networks of one architecture take: python table.py.

For pruner.table of yolo-optimize: from what networks with random widths take here, it learns what each layer takes, and
prunes for the time of this device. The clock is yolo-optimize's own, see clock.py. Every network is timed in turns with
the original, which is opened three times; one call is from numpy in to numpy out, batch 1.
"""

import argparse
import json
import os
import re
import sys
from functools import partial
from pathlib import Path

import clock
import numpy as np

import device

HERE = Path(__file__).resolve().parent
ORIGINALS = 3  # two processes of one file differ by some percent for as long as they live
NAME = re.compile(r"[\w.-]{1,200}")


def main():
    parser = argparse.ArgumentParser(description="Measure the networks of this folder on this device.")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    parser.add_argument("--threads", type=int, default=cores, help="CPU threads; all by default")
    parser.add_argument("--together", type=int, default=5, help="networks in memory at once, beside the original")
    parser.add_argument("--out", type=Path, default=Path("table.json"), help="new file to write")
    given = parser.parse_args()
    if given.threads < 1 or given.together < 1:
        sys.exit("error: give --threads and --together of 1 or more.")
    if os.path.lexists(given.out) or not given.out.absolute().parent.is_dir():
        sys.exit(f"error: --out {given.out} exists or has no folder; give a new file.")
    table = read()
    networks = table["networks"]
    shares, milliseconds, noise = [1.0], None, 0.0
    for start in range(1, len(networks), given.together):
        group = networks[start : start + given.together]
        print(f"networks {start} to {start + len(group) - 1} of {len(networks) - 1}", flush=True)
        found, original, differ = measured(table, [networks[0], *group], given.threads)
        shares += found
        milliseconds, noise = milliseconds or original, max(noise, differ)
    table |= {"version": device.version(), "cpu": cpu(), "flags": flags(), "threads": given.threads, "noise": noise}
    table["networks"] = [
        {"widths": network["widths"], "milliseconds": milliseconds * share, "layers": None}
        for network, share in zip(networks, shares, strict=True)
    ]
    with given.out.open("x", encoding="utf-8") as file:
        json.dump(table, file, indent=1)
    print(
        f"the original takes {milliseconds:.2f} ms; its processes differ by up to {noise:.1%}\ncopy {given.out} back, "
        f"then: python -m optimize pruner.target=latency pruner.table={given.out} prune=0.4 ..."
    )


def read():
    """The content of networks.json; the files that it names lie in this folder."""
    try:
        table = json.loads((HERE / "networks.json").read_text(encoding="utf-8"))
        names = [network["file"] for network in table["networks"]]
        fits = table["runtime"] == device.NAME and all(NAME.fullmatch(name) and name.strip(".") for name in names)
    except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
        sys.exit(f"error: networks.json can't be read ({type(error).__name__}); copy the folder again.")
    if not fits or not all((HERE / name).exists() for name in names):
        sys.exit("error: networks.json names files that are not here; copy the folder again.")
    return table


def measured(table, networks, threads):
    """Shares of the original's time that the other networks take, its milliseconds, and how far its processes differ.

    The first of `networks` is the original.
    """
    from contextlib import ExitStack

    openers = [partial(opened, table, network["file"], threads) for network in [networks[0]] * ORIGINALS + networks[1:]]
    try:
        with ExitStack() as processes:
            workers = [processes.enter_context(clock.worker(opener, i)) for i, opener in enumerate(openers)]
            lengths = [clock.length(worker.milliseconds, 12) for worker in workers]
            times = clock.in_turns(workers, lengths, range(12), seed=0)
    except clock.Stopped as error:
        sys.exit(f"error: {openers[error.index].args[1]} can't be timed: {error}")
    shares = [clock.ratios(one, times[0])[1] for one in times]
    mean = float(np.exp(np.mean(np.log(shares[:ORIGINALS]))))
    noise = max(abs(share / mean - 1) for share in shares[:ORIGINALS])
    return [share / mean for share in shares[ORIGINALS:]], float(np.median(times[0])) * mean, noise


def opened(table, name, threads):
    """A network, in the process that will be timed."""
    shape = (1, 3, table["imgsz"]["height"], table["imgsz"]["width"])
    image = np.random.default_rng(0).random(shape, dtype=np.float32)
    run, _ = device.open_model(HERE / name, table["precision"], threads)
    return clock.Opened(lambda timed: run(image), lambda: None)


def cpu():
    """What this machine calls itself: a board in its device tree, or its processor."""
    for file, key in (("/proc/device-tree/model", None), ("/proc/cpuinfo", "model name")):
        try:
            text = Path(file).read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue
        lines = (
            [text] if key is None else [line.partition(":")[2] for line in text.splitlines() if line.startswith(key)]
        )
        name = "".join(character for character in lines[0] if character.isprintable()).strip() if lines else ""
        if name:
            return name
    import platform

    return platform.processor() or platform.machine()


def flags():
    """The instructions of this CPU as Linux lists them; on another system nothing."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
    listed = (line.partition(":")[2].split() for line in lines if line.startswith(("flags", "Features")))
    return next(listed, [])


if __name__ == "__main__":
    main()
