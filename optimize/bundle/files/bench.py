"""Measure on this device how long one call of the model takes: python bench.py.

The clock is yolo-optimize's own, see clock.py: the model is opened twice, each time in a process of its own, and both
are visited in random turns; what they differ by (A/A) says which differences mean nothing. One call is from numpy in to
numpy out, batch 1; preparing the image and NMS are not in it. Writes measurement.json.
"""

import argparse
import json
import os
import platform
import shlex
import sys
from datetime import datetime
from functools import partial
from hashlib import sha256
from pathlib import Path
from subprocess import list2cmdline

import clock
import numpy as np
from model import artefact, checked, cores, empty_input, open_model, read_bundle, shown, unused, versions
from sustained import describe, sustain

MOST_MINUTES = 24 * 60


def main():
    given = parse_arguments()
    name = shown(" ".join(given.device.split()))
    if given.rounds < 12 or given.threads < 1 or not name:
        sys.exit("error: give --rounds of 12 or more, --threads of 1 or more, and a --device that has a name.")
    if not 0 <= given.minutes <= MOST_MINUTES:
        sys.exit(f"error: --minutes {given.minutes:g} is not allowed; give 0 to {MOST_MINUTES}.")
    out = new_file(given.out or unused(Path("measurement.json")))
    for stream in (sys.stdout, sys.stderr):  # no name that the terminal can't show ends the work
        stream.reconfigure(errors="replace")
    bundle = read_bundle()
    found = digest(artefact(bundle))
    if found != bundle["sha256"]:
        sys.exit(f"error: {bundle['artefact']} is not the file that bundle.json describes; copy the bundle again.")
    times, again, before, arithmetic, windows = measured(bundle, given.threads, given.rounds, given.minutes)
    after = state()
    q1, median, q3 = (float(value) for value in np.percentile(times, [25, 50, 75]))
    p90, p99 = (clock.percentile(times, share) for share in (0.9, 0.99))
    low, middle, high = clock.ratios(again, times)
    measurement = {
        "schema": 2,
        "run": bundle["run"],
        "sha256": bundle["rows"].get(found, found),
        "input": bundle["input"],
        "runtime": bundle["runtime"],
        "precision": bundle["precision"],
        "imgsz": bundle["imgsz"],
        "device": name,
        "cpu": shown(cpu()),
        "system": shown(platform.platform()),
        "cores": cores(),
        "threads": given.threads,
        "arithmetic": arithmetic or None,
        "median_ms": median,
        "q1_ms": q1,
        "q3_ms": q3,
        "p90_ms": p90,
        "p99_ms": p99,
        "runs": int(times.size),
        "noise": abs(middle - 1),
        "noise_spread": (high - low) / 2,
        "clock_mhz": [before[0], after[0]],
        "temperature_c": [before[1], after[1]],
        "sustained": windows,
        "began": datetime.now().astimezone().isoformat(timespec="seconds"),
        "versions": {"python": platform.python_version(), **versions(bundle)},
    }
    with out.open("x", encoding="utf-8") as file:  # new: another one may have been written meanwhile
        file.write(json.dumps(measurement, indent=1))
    words = ["python", "-m", "optimize.import_measurement", f"runs/{bundle['run']}", out.name]
    command = list2cmdline(words) if os.name == "nt" else shlex.join(words)
    print(
        f"{bundle['variant']} on {name}, {bundle['runtime']}, {given.threads} threads: {median:.2f} ms "
        f"[{q1:.2f}-{q3:.2f}]; A/A {abs(middle - 1):.1%}, quartiles +-{(high - low) / 2:.1%}\n"
        f"{describe(windows) + chr(10) if windows else ''}"
        f"copy {out} to where the run is, then: {command}"
    )


def parse_arguments():
    parser = argparse.ArgumentParser(description="Measure the model of this bundle on this device.")
    parser.add_argument("--threads", type=int, default=cores(), help="CPU threads; all by default")
    parser.add_argument("--rounds", type=int, default=30, help="of up to 20 timed calls each, at least 12")
    parser.add_argument("--minutes", type=float, default=0, help="then call it for so long, to see its speed fall")
    parser.add_argument("--device", default=device(), help="what to call this device, e.g. 'Raspberry Pi 5, fan'")
    parser.add_argument(
        "--out", type=Path, help="new file to write; measurement.json, measurement-2.json ... by default"
    )
    return parser.parse_args()


def measured(bundle, threads, rounds, minutes):
    """Milliseconds (rounds, calls) of the model and of its twin, `state` once both are warm, arithmetic, and windows.

    The windows are those of `sustain`; none without minutes.
    """
    opener = partial(opened, bundle, threads)
    try:
        with clock.worker(opener) as first, clock.worker(opener) as twin:
            before = state()
            lengths = [clock.length(first.milliseconds, rounds)] * 2
            times, again = clock.in_turns([first, twin], lengths, range(rounds), seed=0)
            windows = sustain(first, minutes, state) if minutes else []
            return times, again, before, first.finish(), windows
    except clock.Stopped as error:
        sys.exit(str(error))


def opened(bundle, threads):
    """The model, in the process that will be timed, once its output was found to be what it should be."""
    image, rng = empty_input(bundle), np.random.default_rng(0)
    image[:] = rng.integers(0, 256, image.shape) if image.dtype == np.uint8 else rng.random(image.shape, np.float32)
    run, arithmetic = open_model(bundle, threads)
    checked(run(image), bundle)
    return clock.Opened(lambda timed: run(image), arithmetic)


def new_file(out):
    """`out`, if it can be written and is new: what is measured should not be lost at the end."""
    if out.is_dir() or not (out.parent.is_dir() and os.access(out.parent, os.W_OK)):
        sys.exit(f"error: --out {out} can't be written; give a file in a folder that is there.")
    if os.path.lexists(out):
        sys.exit(f"error: --out {out} exists, and nothing is overwritten; give another name.")
    return out


def digest(path):
    """SHA-256 of a file, or of all files of a folder with their names, in hex."""
    total = sha256()
    for file in [path] if path.is_file() else sorted(file for file in path.rglob("*") if file.is_file()):
        if file != path:
            total.update(file.relative_to(path).as_posix().encode())
        total.update(file.read_bytes())
    return total.hexdigest()


def device():
    """What this machine calls itself: a board in its device tree, a PC in its firmware, else in the network."""
    for file in ("/proc/device-tree/model", "/sys/devices/virtual/dmi/id/product_name"):
        if name := text(Path(file)).strip("\0 \n"):
            return name
    return platform.node() or platform.machine()


def cpu():
    lines = [line.partition(":") for line in text(Path("/proc/cpuinfo")).splitlines()]
    names = [value.strip() for key, _, value in lines if key.strip() == "model name"]
    return names[0] if names else platform.processor() or platform.machine()


def state():
    """The fastest core's clock in MHz and the hottest sensor in °C, each None where the system doesn't tell."""
    files = Path("/sys/devices/system/cpu").glob("cpu[0-9]*/cpufreq/scaling_cur_freq")
    clocks = [int(value) / 1e3 for value in map(text, files) if value.strip().isdigit()]
    if not clocks:
        lines = [line.partition(":") for line in text(Path("/proc/cpuinfo")).splitlines()]
        clocks = [float(value) for key, _, value in lines if key.strip() == "cpu MHz"]
    files = Path("/sys/class/thermal").glob("thermal_zone*/temp")
    sensors = [int(value) / 1e3 for value in map(text, files) if value.strip().isdigit()]
    return max(clocks, default=None), max(sensors, default=None)


def text(file):
    """What `file` holds; nothing where there is none or it can't be read, as some sensors can't."""
    try:
        return file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


if __name__ == "__main__":
    main()
