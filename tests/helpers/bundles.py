"""A bundle without a pipeline, and a device without torch, ultralytics and this package."""

import subprocess
import sys
from dataclasses import replace
from importlib.metadata import distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from helpers import reports
from helpers.runtimes import ALL
from optimize.bundle import make
from optimize.input_size import square
from optimize.result import Report
from optimize.store.apply import digest

# Boxes of both are made of the same pixels by the same graph; what is left is float32's last bits, at most 1e-4 of a
# pixel of the input here, times the scale of the image, and the rounding to 0.001 in detections.json.
PIXELS, SURENESS = 1e-2, 1e-4
CONFIDENCE = 0.3


def one_row(artefact: Path, runtime: str, precision: str = "fp32", task: str = "detect", imgsz: int = 64) -> Report:
    """The made-up report with nothing but its original and `artefact`."""
    report = reports.report(provenance=reports.provenance(task=task))
    made = reports.row("pruned", runtime, precision, 0.7, 0.595, 5.0)
    variant = replace(made.variant, path=artefact, imgsz=square(imgsz))
    return replace(report, results=(report.results[0], replace(made, variant=variant, sha256=digest(artefact))))


def bundled(report: Report, folder: Path) -> Path:
    """`folder`/bundle, for whichever runtime."""
    return make.make(report, tuple(ALL.values()), folder)


def device(folder: Path, *packages: str) -> Path:
    """What `pip install` of `packages` leaves on a device: links to them and to all that they require, nothing else."""
    folder.mkdir(exist_ok=True)
    waiting, seen = list(packages), set()
    while waiting:
        name = canonicalize_name(waiting.pop())
        if name in seen:
            continue
        seen.add(name)
        found = distribution(name)
        for entry in {file.parts[0] for file in found.files} - {"..", "__pycache__"}:
            if not (folder / entry).exists():  # several packages fill e.g. google/
                (folder / entry).symlink_to(found.locate_file(entry))
        required = map(Requirement, found.requires or ())
        waiting += [one.name for one in required if not one.marker or one.marker.evaluate({"extra": ""})]
    return folder


def start(script: Path, *words: str | Path, cwd: Path, packages: tuple[str, ...] | None = None, **env: str):
    """Run a bundle's script with nothing but the standard library and what the README's first command installs.

    `packages` are to be there in place of these; `env` are environment variables.
    """
    readme = (script.parent / "README.md").read_text(encoding="utf-8")
    given = next(line for line in readme.splitlines() if line.startswith("    pip install --upgrade ")).split()[3:]
    brought = device(cwd / "device", *(packages or given))
    command = [sys.executable, "-S", script, *words]  # without the packages of this environment
    env = {"PYTHONPATH": str(brought), "PATH": "", "PYTHONDONTWRITEBYTECODE": "1"} | env
    return subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, encoding="utf-8")
