"""A bundle without a pipeline, and a device without torch, ultralytics and this package."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import reports

from optimize.result import Report
from optimize.stage import digest


def one_row(artefact: Path, runtime: str, precision: str = "fp32", task: str = "detect") -> Report:
    """The made-up report with nothing but its original and `artefact`."""
    report = reports.report(provenance=reports.provenance(task=task))
    made = reports.row("pruned", runtime, precision, 0.7, 0.595, 5.0)
    variant = replace(made.variant, path=artefact, imgsz=64)
    return replace(report, results=(report.results[0], replace(made, variant=variant, sha256=digest(artefact))))


def blocked(folder: Path) -> dict[str, str]:
    """An environment in which what a device doesn't have can't be imported."""
    for name in ("torch", "torchvision", "ultralytics", "optimize", "cv2"):
        (folder / f"{name}.py").write_text(f"raise SystemExit('{name} was imported')")
    return {"PYTHONPATH": str(folder), "PATH": ""}


def start(script: Path, *words: str | Path, cwd: Path) -> subprocess.CompletedProcess:
    (cwd / "blocked").mkdir(exist_ok=True)
    words = [sys.executable, script, *words]
    return subprocess.run(words, cwd=cwd, env=blocked(cwd / "blocked"), capture_output=True, text=True)
