"""Results in MLflow, where `tracking=mlflow` is set: one run there per run; for a sweep one with a child per job.

Where they go is MLflow's own setting, MLFLOW_TRACKING_URI: a server, or by default mlflow.db in the current folder.
What is done again in the same folder (a sweep that goes on) updates what is there.
"""

import logging
import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import wraps
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path
from platform import node
from time import time
from typing import TYPE_CHECKING, Any

from optimize.errors import InputError, described
from optimize.result import Report
from optimize.verdict.plain import points
from optimize.verdict.verdict import chosen, headline

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from optimize.sweep.job import Job
    from optimize.sweep.sweep import Sweep

log = logging.getLogger(__name__)

EXPERIMENT = "yolo-optimize"  # unless MLFLOW_EXPERIMENT_NAME says otherwise
IDENTITY, PARENT = "yolo-optimize.folder", "mlflow.parentRunId"
FORBIDDEN = re.compile(r"[^\w\-. :/]")  # in the name of a metric or parameter


def check(tracking: str) -> None:
    """Nothing where `tracking` is `none`.

    Raises:
        InputError: MLflow is not installed, or can't be reached.
    """
    if tracking == "none":
        return
    if find_spec("mlflow") is None:
        raise InputError(
            "tracking=mlflow needs MLflow, which is not installed; run pip install 'yolo-optimize[mlflow]', or leave "
            "tracking=none."
        )
    try:
        with _asking_once():
            _experiment(_client())
    except Exception as error:  # every kind of store fails in its own way
        raise InputError(
            f"MLflow at {_place()} can't be used ({described(error)}); set MLFLOW_TRACKING_URI to a server that runs, "
            "or leave tracking=none."
        ) from error


def _as_sentence(write: Callable[..., None]) -> Callable[..., str | None]:
    """What can't be written to MLflow costs nothing else: the sentence is given back, for the end."""

    @wraps(write)
    def kept(*arguments: Any) -> str | None:
        try:
            write(*arguments)
        except Exception as error:  # every kind of store fails in its own way
            log.debug("MLflow", exc_info=True)
            return f"the report is written, but not to MLflow at {_place()}: {described(error)}."
        return None

    return kept


@_as_sentence
def write_run(report: Report, folder: Path) -> None:
    """One run, whose report lies in `folder`. Gives a sentence where it could not be written, else None."""
    client = _client()
    params = _params(report)
    with _ended(client, _run(client, folder, [f"{params}"], params, {})) as run:
        _write(client, run, report, folder)


@_as_sentence
def write_sweep(sweep: "Sweep") -> None:
    """A sweep that was timed, with a child for each job. Gives a sentence where it could not be written, else None."""
    client = _client()
    tags = {"command": sweep.command}
    with _ended(client, _run(client, sweep.folder, sweep.overrides, _searched(sweep), tags)) as parent:
        for name in ("report.html", "results.csv"):
            if (sweep.folder / name).is_file():
                client.log_artifact(parent, str(sweep.folder / name))
        for job in sweep.jobs:
            _write_job(client, parent, job, sweep)


def _write_job(client: "MlflowClient", parent: str, job: "Job", sweep: "Sweep") -> None:
    folder, report = sweep.folder / str(job.number), sweep.reports.get(job.number)
    tags = {PARENT: parent, "overrides": " ".join(job.overrides), "error": job.sentence or ""}
    run = _run(client, folder, job.overrides, _params(report) if report else {}, tags)
    with _ended(client, run, "FAILED" if job.sentence else "FINISHED"):
        if report:
            _write(client, run, report, folder)


def _write(client: "MlflowClient", run: str, report: Report, folder: Path) -> None:
    from mlflow.entities import Metric

    now = int(1000 * time())
    client.log_batch(run, metrics=[Metric(name, value, now, 0) for name, value in metrics(report).items()])
    client.set_tag(run, "verdict", headline(report))
    for name in ("report.html", "results.json"):
        client.log_artifact(run, str(folder / name))
    best = chosen(report)
    if best:
        upload = client.log_artifacts if best.variant.path.is_dir() else client.log_artifact
        place = (
            f"{best.variant.runtime}/{best.variant.path.name}" if best.variant.path.is_dir() else best.variant.runtime
        )
        upload(run, str(best.variant.path), f"artefacts/{place}")


def metrics(report: Report) -> dict[str, float]:
    """Every row's figures by name, e.g. `openvino/pruned-int8/median_ms`; what was not measured is left out."""
    found: dict[str, float | None] = {}
    for row in report.results:
        time = row.latency
        figures = {
            **row.accuracy.metrics,
            "points": points(row, report),
            "flops": row.flops,
            "size_mb": row.size_bytes / 1e6,
            "median_ms": time.median_ms if time else None,
            "speedup": time.speedup if time else None,
        }
        found |= {f"{row.variant.runtime}/{row.variant.name}/{name}": value for name, value in figures.items()}
    return {FORBIDDEN.sub("-", name): float(value) for name, value in found.items() if value is not None}


def _params(report: Report) -> dict[str, str]:
    where = report.provenance
    known = {"imgsz": where.imgsz, "threads": where.threads, "data_fingerprint": where.fingerprint}
    return dict(_flat(where.config)) | {key: str(value) for key, value in known.items()}


def _flat(node: dict[str, Any], place: str = "") -> Iterator[tuple[str, str]]:
    for key, value in node.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{place}{key}.")
        else:
            yield FORBIDDEN.sub("-", f"{place}{key}"), str(value)


def _searched(sweep: "Sweep") -> dict[str, str]:
    """What was swept, by its key."""
    return {FORBIDDEN.sub("-", key): values for key, _, values in (one.partition("=") for one in sweep.overrides)}


def _run(
    client: "MlflowClient", folder: Path, asked: Sequence[str], params: dict[str, str], tags: dict[str, str]
) -> str:
    """Its id: of the run that is there of this folder, for the same that was asked, or of a new one."""
    from mlflow.entities import Param, RunTag

    where = f"{node()}:{folder.resolve()}"
    identity = sha256("\n".join([where, *asked]).encode()).hexdigest()[:16]  # a path may hold what a filter can't
    experiment = _experiment(client)
    known = client.search_runs([experiment], f"tags.`{IDENTITY}` = '{identity}'")
    run = known[0] if known else client.create_run(experiment, run_name=folder.name, tags={IDENTITY: identity})
    missing = [Param(key, value) for key, value in params.items() if key not in run.data.params]
    told = [RunTag(key, value) for key, value in {"folder": where, **tags}.items()]
    client.log_batch(run.info.run_id, params=missing, tags=told)
    return run.info.run_id


@contextmanager
def _ended(client: "MlflowClient", run: str, status: str = "FINISHED") -> Iterator[str]:
    client.update_run(run, "RUNNING")
    try:
        yield run
    except BaseException:
        client.set_terminated(run, "FAILED")
        raise
    client.set_terminated(run, status)


def _client() -> "MlflowClient":
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # nobody else is told
    from mlflow import MlflowClient

    return MlflowClient()


def _place() -> str:
    return os.environ.get("MLFLOW_TRACKING_URI", "mlflow.db in the current folder")


def _experiment(client: "MlflowClient") -> str:
    """Its id."""
    name = os.environ.get("MLFLOW_EXPERIMENT_NAME", EXPERIMENT)
    known = client.get_experiment_by_name(name)
    return known.experiment_id if known else client.create_experiment(name)


@contextmanager
def _asking_once() -> Iterator[None]:
    """A server that isn't there should be told at once, not after the minutes of MLflow's own retries."""
    name, before = "MLFLOW_HTTP_REQUEST_MAX_RETRIES", os.environ.get("MLFLOW_HTTP_REQUEST_MAX_RETRIES")
    os.environ[name] = before or "0"
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
