"""Writes results to MLflow if `tracking=mlflow`: each run is a run there, each sweep a run with a child per job.

MLflow's own setting MLFLOW_TRACKING_URI names the server; the default is mlflow.db in the current folder. A run or
sweep that is repeated in the same folder updates its run in MLflow.
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
    """Check that MLflow can be used, unless `tracking` is `none`.

    Raises:
        InputError: MLflow is not installed, or can't be reached.
    """
    if tracking == "none":
        return
    if find_spec("mlflow") is None:
        raise InputError(
            "tracking=mlflow needs MLflow, which is not installed; run pip install '.[mlflow]', or leave tracking=none."
        )
    try:
        with _without_retries():
            _experiment(_client())
    except Exception as error:  # every kind of store fails in its own way
        raise InputError(
            f"MLflow at {_place()} can't be used ({described(error)}); set MLFLOW_TRACKING_URI to a server that runs, "
            "or leave tracking=none."
        ) from error


def _error_as_sentence(write: Callable[..., None]) -> Callable[..., str | None]:
    """Return an error of `write` as a sentence for the end of the output: MLflow's failure must not cost the report."""

    @wraps(write)
    def wrapped(*arguments: Any) -> str | None:
        try:
            write(*arguments)
        except Exception as error:  # every kind of store fails in its own way
            log.debug("MLflow", exc_info=True)
            return f"the report is written, but not to MLflow at {_place()}: {described(error)}."
        return None

    return wrapped


@_error_as_sentence
def write_run(report: Report, folder: Path) -> None:
    """Write one run, whose report lies in `folder`; return a sentence if that fails, else None."""
    client = _client()
    params = _params(report)
    with _running(client, _find_or_create(client, folder, [f"{params}"], params, {})) as run:
        _write(client, run, report, folder)


@_error_as_sentence
def write_sweep(sweep: "Sweep") -> None:
    """Write a sweep that was timed, with a child per job; return a sentence if that fails, else None."""
    client = _client()
    tags = {"command": sweep.command}
    run = _find_or_create(client, sweep.folder, sweep.overrides, _swept(sweep), tags)
    with _running(client, run) as parent:
        for name in ("report.html", "results.csv"):
            if (sweep.folder / name).is_file():
                client.log_artifact(parent, str(sweep.folder / name))
        for job in sweep.jobs:
            _write_job(client, parent, job, sweep)


def _write_job(client: "MlflowClient", parent: str, job: "Job", sweep: "Sweep") -> None:
    folder, report = sweep.folder / str(job.number), sweep.reports.get(job.number)
    tags = {PARENT: parent, "overrides": " ".join(job.overrides), "error": job.sentence or ""}
    run = _find_or_create(client, folder, job.overrides, _params(report) if report else {}, tags)
    with _running(client, run, "FAILED" if job.sentence else "FINISHED"):
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
    """The figures of every row by name, e.g. `openvino/pruned-int8/median_ms`, without those that were not measured."""
    by_name: dict[str, float | None] = {}
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
        by_name |= {f"{row.variant.runtime}/{row.variant.name}/{name}": value for name, value in figures.items()}
    return {FORBIDDEN.sub("-", name): float(value) for name, value in by_name.items() if value is not None}


def _params(report: Report) -> dict[str, str]:
    made = report.provenance
    resolved = {"imgsz": made.imgsz, "threads": made.threads, "data_fingerprint": made.fingerprint}
    return dict(_flat(made.config)) | {key: str(value) for key, value in resolved.items()}


def _flat(config: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, value in config.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield FORBIDDEN.sub("-", f"{prefix}{key}"), str(value)


def _swept(sweep: "Sweep") -> dict[str, str]:
    """The values of each key of the sweep's command."""
    words = (override.partition("=") for override in sweep.overrides)
    return {FORBIDDEN.sub("-", key): values for key, _, values in words}


def _find_or_create(
    client: "MlflowClient", folder: Path, words: Sequence[str], params: dict[str, str], tags: dict[str, str]
) -> str:
    """The id of the run that an earlier call made for `folder` and `words`, else of a new run."""
    from mlflow.entities import Param, RunTag

    place = f"{node()}:{folder.resolve()}"
    identity = sha256("\n".join([place, *words]).encode()).hexdigest()[:16]  # a path may hold what a filter can't
    experiment = _experiment(client)
    earlier = client.search_runs([experiment], f"tags.`{IDENTITY}` = '{identity}'")
    run = earlier[0] if earlier else client.create_run(experiment, run_name=folder.name, tags={IDENTITY: identity})
    missing = [Param(key, value) for key, value in params.items() if key not in run.data.params]
    run_tags = [RunTag(key, value) for key, value in {"folder": place, **tags}.items()]
    client.log_batch(run.info.run_id, params=missing, tags=run_tags)
    return run.info.run_id


@contextmanager
def _running(client: "MlflowClient", run: str, status: str = "FINISHED") -> Iterator[str]:
    """Mark `run` as running during the block, then as `status`, or as failed if the block raises."""
    client.update_run(run, "RUNNING")
    try:
        yield run
    except BaseException:
        client.set_terminated(run, "FAILED")
        raise
    client.set_terminated(run, status)


def _client() -> "MlflowClient":
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # it sends nothing to its makers
    from mlflow import MlflowClient

    return MlflowClient()


def _place() -> str:
    return os.environ.get("MLFLOW_TRACKING_URI", "mlflow.db in the current folder")


def _experiment(client: "MlflowClient") -> str:
    """The id of our experiment, which is created if it does not exist."""
    name = os.environ.get("MLFLOW_EXPERIMENT_NAME", EXPERIMENT)
    existing = client.get_experiment_by_name(name)
    return existing.experiment_id if existing else client.create_experiment(name)


@contextmanager
def _without_retries() -> Iterator[None]:
    """Let an unreachable server fail at once; MLflow would retry for minutes."""
    name, before = "MLFLOW_HTTP_REQUEST_MAX_RETRIES", os.environ.get("MLFLOW_HTTP_REQUEST_MAX_RETRIES")
    os.environ[name] = before or "0"
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
