"""MLflow gets what results.json holds, once, however often a run is done again; and it can't cost a report."""

from dataclasses import replace

import pytest

from helpers import reports
from helpers.commands import command
from helpers.messages import is_error, like, says
from optimize import tracking
from optimize.errors import InputError
from optimize.report import results
from optimize.sweep.job import BUILT, FAILED, Job
from optimize.sweep.sweep import Sweep

pytestmark = pytest.mark.command

mlflow = pytest.importorskip("mlflow")


@pytest.fixture
def client(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/tracked.db")
    return mlflow.MlflowClient()


def runs(client):
    experiment = client.get_experiment_by_name("yolo-optimize")
    return client.search_runs([experiment.experiment_id])


def reported(folder, **changes):
    """A report in `folder`, with the files that its rows name."""
    report = reports.report(**changes)
    rows = [replace(row, variant=replace(row.variant, path=folder / row.variant.path)) for row in report.results]
    for row in rows:
        row.variant.path.parent.mkdir(parents=True, exist_ok=True)
        row.variant.path.write_text(row.variant.name)
    report = replace(report, results=tuple(rows))
    results.write(report, folder / "results.json")
    (folder / "report.html").write_text("<html>")
    return report


def test_every_figure_of_a_row_is_a_metric_and_what_was_not_measured_is_none():
    report = reports.report()
    first = replace(report.results[0], latency=None)
    found = tracking.metrics(replace(report, results=(first, *report.results[1:])))
    row = next(row for row in report.results if (row.variant.name, row.variant.runtime) == ("pruned+int8", "openvino"))
    assert {name: value for name, value in found.items() if name.startswith("openvino/pruned-int8/")} == {
        "openvino/pruned-int8/mAP50-95": row.accuracy.score,
        "openvino/pruned-int8/mAP50": row.accuracy.metrics["mAP50"],
        "openvino/pruned-int8/points": pytest.approx(100 * (row.accuracy.score - first.accuracy.score)),
        "openvino/pruned-int8/flops": row.flops,
        "openvino/pruned-int8/size_mb": row.size_bytes / 1e6,
        "openvino/pruned-int8/median_ms": row.latency.median_ms,
        "openvino/pruned-int8/speedup": row.latency.speedup,
    }
    assert "torch/original/flops" in found and "torch/original/median_ms" not in found


def test_a_run_is_written_once_however_often_it_is_done_again(client, tmp_path):
    folder = tmp_path / "it's a run"
    folder.mkdir()
    report = reported(folder)
    assert tracking.write_run(report, folder) is None
    assert tracking.write_run(replace(report, results=report.results[:3]), folder) is None
    (run,) = runs(client)
    assert run.info.status == "FINISHED" and run.data.params["quant.calibration_images"] == "4"
    assert run.data.metrics["openvino/pruned-int8/flops"] == 0.7e9
    assert {file.path for file in client.list_artifacts(run.info.run_id)} == {
        "report.html",
        "results.json",
        "artefacts",
    }


def test_a_sweep_is_a_parent_with_a_child_for_each_job_also_when_it_goes_on(client, tmp_path):
    first, second = tmp_path / "0", tmp_path / "1"
    first.mkdir(), second.mkdir()
    jobs = (
        Job(0, ("prune=0.1",), BUILT, "here", 0.0, 1.0),
        Job(1, ("prune=0.3",), FAILED, "here", 0.0, 1.0, "the disk is full"),
    )
    sweep = Sweep(
        tmp_path, "python -m optimize -m prune=0.1,0.3", ("prune=0.1,0.3",), 2, 0.0, jobs, {0: reported(first)}
    )
    assert tracking.write_sweep(sweep) is None
    failed = {run.data.tags["overrides"]: run for run in runs(client) if "overrides" in run.data.tags}["prune=0.3"]
    assert (failed.info.status, failed.data.tags["error"]) == ("FAILED", "the disk is full")

    jobs = (jobs[0], replace(jobs[1], state=BUILT, sentence=None))
    assert tracking.write_sweep(replace(sweep, jobs=jobs, reports={**sweep.reports, 1: reported(second)})) is None
    parent, *rest = sorted(runs(client), key=lambda run: tracking.PARENT in run.data.tags)
    assert parent.data.params == {"prune": "0.1,0.3"}
    assert {run.data.tags["overrides"]: run.info.status for run in rest} == {
        "prune=0.1": "FINISHED",
        "prune=0.3": "FINISHED",
    }
    assert {run.data.tags[tracking.PARENT] for run in rest} == {parent.info.run_id}
    assert {run.data.tags["error"] for run in rest} == {""} and len(rest) == 2


def test_off_by_default_and_nothing_is_asked_of_anybody(monkeypatch):
    monkeypatch.setattr(tracking, "find_spec", lambda name: None)
    assert tracking.check("none") is None


def test_a_missing_package_or_server_is_one_sentence_before_any_work(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    code, out, err = command(monkeypatch, capsys, "tracking=mlflow")
    assert (code, out) == (1, "")
    assert is_error(err, "MLflow at http://127.0.0.1:9 ... MlflowException: ... MLFLOW_TRACKING_URI ... tracking=none")
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    monkeypatch.setattr(tracking, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=like("tracking=mlflow ... not installed ... pip install")):
        tracking.check("mlflow")


def test_what_can_not_be_written_at_the_end_is_a_sentence_and_no_error(client, tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    told = tracking.write_run(reported(tmp_path), tmp_path)
    assert says(told, "report is written ... not to MLflow at http://127.0.0.1:9 ... MlflowException")
