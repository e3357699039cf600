"""Made-up sweeps, and what is read of their CSV."""

import csv
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

from helpers import reports
from optimize.report import results
from optimize.sweep import job
from optimize.sweep.job import Job
from optimize.sweep.sweep import Sweep, begin, read


def made(prune: float, quant: str, lost: float = 0.0, timed: bool = True, **changes):
    """The report of a job; the bytes of an artefact follow from its name, and of the pruned one from `prune`."""
    whole = reports.report(disagreement=None, machine=None)
    rows = []
    for row in whole.results:
        name, runtime, precision = row.variant.name, row.variant.runtime, row.variant.precision
        if precision == "int8" and quant == "none":
            continue
        if name.startswith("pruned"):
            reference = {"torch": 20.0, "onnxruntime": 10.0, "openvino": 8.0}[runtime]
            time = reference * (1 - prune) * (0.6 if precision == "int8" else 1)
            score = 0.60 - lost - (0.004 if precision == "int8" else 0)
            row = reports.row("pruned", runtime, precision, 1 - prune, score, time, reference)
            name += str(prune)
        named = sha256(f"{name} {runtime}".encode()).hexdigest()
        rows.append(replace(row, sha256=named, profile=None, latency=row.latency if timed else None))
    known = {"noise": 0.01, "noise_spread": 0.03} if timed else {"noise": None, "noise_spread": None}
    return replace(whole, results=tuple(rows), **known | changes)


def put(folder: Path, jobs: dict[int, tuple[str, object]], total: int | None = None) -> Sweep:
    """Put jobs into a sweep's folder: by number the overrides, and the report, an error's sentence, or neither."""
    if not folder.exists():
        begin(folder, f"python -m optimize -m prune=0.1,0.3 hydra.sweep.dir={folder}", ["prune=0.1,0.3"], total)
    for number, (overrides, what) in jobs.items():
        inside = folder / str(number)
        inside.mkdir(exist_ok=True)
        known = Job(number, tuple(overrides.split()), job.RUNNING, "here", 1.0)
        if isinstance(what, str):
            known = replace(known, state=job.FAILED, ended=2.0, sentence=what)
        elif what is not None:
            store = {"store": str(folder.parent / "store")}
            provenance = replace(what.provenance, config=store, command=f"python -m optimize {overrides}")
            results.write(replace(what, provenance=provenance), inside / "results.json")
            known = replace(known, state=job.BUILT, ended=3.0)
        job.write(known, inside)
    return read(folder)


def lines(sweep: Sweep) -> list[dict[str, str]]:
    with (sweep.folder / "results.csv").open() as file:
        return list(csv.DictReader(file))
