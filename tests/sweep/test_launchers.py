"""The same sweep with every launcher, each for real: one by one, with joblib, on two nodes of Ray, with submitit."""

import json
import signal
from importlib.util import find_spec
from pathlib import Path

import psutil
import pytest

from helpers import ROOT
from helpers.commands import WAIT, command, python_path, send, start, until, wait_unread
from helpers.messages import is_error, like
from optimize.sweep import sweep
from optimize.sweep.alive import STOPPED
from optimize.sweep.sweep import Sweep

WORKERS = {"joblib": "hydra_joblib_launcher", "ray": "hydra_ray_launcher", "submitit_local": "hydra_submitit_launcher"}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """The address of a Ray cluster of two nodes with a core each, which know nothing of the sweep's folder."""
    pytest.importorskip("hydra_plugins.hydra_ray_launcher", reason="needs `pip install '.[ray]'`")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_AUTH_MODE", "disabled")  # else Ray writes a token into the home folder
        patch.setenv("PYTHONPATH", python_path(ROOT))
        patch.chdir(tmp_path_factory.mktemp("elsewhere"))
        from ray.cluster_utils import Cluster

        made = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
        for _ in range(2):
            made.add_node(num_cpus=1)
        yield made.address
        made.shutdown()


@pytest.fixture
def words(request, launcher, dataset, checkpoint, tmp_path) -> list[str]:
    """A tiny sweep with `launcher`, all of its paths relative to tmp_path."""
    if launcher in WORKERS and find_spec(f"hydra_plugins.{WORKERS[launcher]}") is None:
        pytest.skip(f"{WORKERS[launcher]} is not installed")
    for name, path in ("data", dataset.parent), ("weights", checkpoint.parent):
        (tmp_path / name).symlink_to(path)
    own = [f"hydra.launcher.ray.init.address={request.getfixturevalue('cluster')}"] if launcher == "ray" else []
    tiny = "rounds=12", "threads=1", "epochs=0", "runtime=[]", "rivals=none", "pruner=l2", "quant=none", "recover=[bn]"
    given = "model=weights/tiny.pt", "data=data/data.yaml", "hydra.sweep.dir=s", f"hydra/launcher={launcher}"
    return ["-m", *given, *tiny, *own]


def said(err: str) -> str:
    """The sentence at the end; joblib's own processes may warn of what they left after it."""
    return [line for line in err.splitlines() if line.startswith(("error: ", "stopped: "))][-1]


def read(folder: Path) -> Sweep:
    return sweep.read(folder / "s")


def at_work(job: Path) -> list[psutil.Process]:
    """The processes that have the job's log open, those that started others first."""
    log, found = str(job / "optimize.log"), []
    for process in psutil.process_iter():
        try:
            if any(file.path == log for file in process.open_files()):
                found.append(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return sorted(found, key=lambda process: process.create_time())


def numbers(found: Sweep) -> dict[int, list[tuple]]:
    """All that does not depend on the clock."""
    return {
        number: [(row.variant.name, row.sha256, row.cost.flops, row.accuracy.metrics) for row in report.results]
        for number, report in found.reports.items()
    }


results: dict[str, dict] = {}  # by launcher


@pytest.mark.long
@pytest.mark.parametrize("launcher", ["basic", *WORKERS])
def test_every_launcher_makes_the_same_and_each_stage_once(launcher, words, tmp_path):
    run = start(tmp_path, *words, "prune=0.2,0.2,1", quick=launcher != "basic")  # no launcher has a part in timing
    out, err = run.communicate(timeout=WAIT)
    assert run.returncode == 1, err
    assert out.splitlines()[-1] == "s"
    assert said(err).startswith("error: job 2 (")
    assert "Traceback" not in err
    found = read(tmp_path)
    assert [one.state for one in found.jobs] == ["built", "built", "failed"], err
    assert found.jobs[2].sentence.startswith("prune=1.0 ")
    assert found.timed and all(row.latency for report in found.reports.values() for row in report.results)
    assert (found.made["Prune"], found.found["Prune"]) == (1, 1)
    assert (found.made["validation"], found.found["validation"]) == (2, 2)
    assert numbers(found)[0] == numbers(found)[1]
    results[launcher] = numbers(found)
    assert results[launcher] == next(iter(results.values()))
    if launcher != "basic":
        first, second, _ = found.jobs
        assert first.began < second.ended and second.began < first.ended  # at once, so on both nodes of the cluster
    assert {path.name for path in tmp_path.iterdir()} == {"data", "weights", "runs", "s"}


@pytest.mark.long
@pytest.mark.parametrize("launcher", WORKERS)
def test_a_killed_worker_of_the_launcher_hangs_nothing_and_the_same_command_goes_on(launcher, words, tmp_path):
    run = start(tmp_path, *words, "prune=0.2,0.3", quick=True)
    worker, *_ = until(lambda: at_work(tmp_path / "s" / "0"), "a first job")
    # One that is still starting when its parent is killed would complain on stderr.
    until(lambda: all(at_work(tmp_path / "s" / number)[1:] for number in "01"), "the processes of two jobs")
    worker.kill()
    out, err = run.communicate(timeout=WAIT)
    assert run.returncode == 1, err
    assert out.splitlines()[-1] == "s"
    assert "Traceback" not in err
    found = read(tmp_path)
    assert found.jobs[0].sentence == STOPPED
    last = said(err)
    assert last.startswith("error: the launcher failed with ") and f"failed: {STOPPED}" in last
    if launcher != "joblib":  # which ends its other workers
        assert found.jobs[1].state == "built" and found.timed
    again = start(tmp_path, *words, "prune=0.2,0.3", quick=True)
    _, err = again.communicate(timeout=WAIT)
    assert again.returncode == 0, err
    assert [one.state for one in read(tmp_path).jobs] == ["built", "built"]


@pytest.mark.long
@pytest.mark.parametrize("launcher", ["basic", "joblib", "ray"])
def test_a_killed_job_is_a_failed_row(launcher, words, tmp_path):
    run = start(tmp_path, *words, "prune=0.2")
    job = until(lambda: at_work(tmp_path / "s" / "0")[1:], "the process of a job")[-1]
    job.kill()
    _, err = run.communicate(timeout=WAIT)
    assert run.returncode == 1
    assert "memory ran out" in read(tmp_path).jobs[0].sentence
    assert "memory ran out" in said(err) and "Traceback" not in err


@pytest.mark.long
@pytest.mark.parametrize("launcher", ["basic", "joblib", "ray"])
@pytest.mark.parametrize("how", ["kill", "ctrl-c"])
def test_no_job_outlives_its_sweep_and_nothing_is_timed(launcher, how, words, tmp_path):
    run = start(tmp_path, *words, "prune=0.2")
    until(lambda: at_work(tmp_path / "s" / "0")[1:], "the process of a job")
    if how == "kill":
        run.kill()
        wait_unread(run)  # its output may stay open in an idle worker of joblib's, which ends after five minutes
    else:
        send(signal.SIGINT, run)
        _, err = run.communicate(timeout=WAIT)
    until(lambda: not at_work(tmp_path / "s" / "0"), "the end of its processes")
    assert not list(tmp_path.glob("s/*/results.json"))
    if how == "ctrl-c":
        assert run.returncode == 130
        assert said(err).startswith("stopped: finished work is kept")
        assert read(tmp_path).jobs[0].sentence == STOPPED


@pytest.fixture
def here(tmp_path, monkeypatch, capsys):
    """Run a command in tmp_path, within this process; gives its exit code and the last line of stderr."""
    monkeypatch.chdir(tmp_path)

    def run(*words: str) -> tuple[int, str]:
        code, out, err = command(monkeypatch, capsys, "-m", *words)
        assert out == "" and "Traceback" not in err
        return code, err.splitlines()[-1]

    return run


@pytest.mark.command
@pytest.mark.parametrize(
    "words, said",
    [
        (["prun=0.1,0.2"], "prun is not a key"),
        (["prune=0.1,0.2", "hydra/launcher=none"], "hydra/launcher=none ... give one of"),
        (["prune=0.1,0.2", "hydra/launcher=slurm"], "launcher ... RuntimeError: Could not detect"),
    ],
)
def test_what_fails_before_the_first_job_leaves_nothing_behind(here, words, said, tmp_path):
    code, last = here(*words)
    assert code == 1 and is_error(last, said)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.command
def test_a_launcher_that_is_not_installed_says_how_it_is(here, tmp_path, monkeypatch):
    from hydra.core.plugins import Plugins

    known = Plugins.instance().class_name_to_class
    for name in [name for name in known if "joblib" in name]:
        monkeypatch.delitem(known, name)
    code, last = here("prune=0.1,0.2", "hydra/launcher=joblib")
    assert code == 1
    assert is_error(last, "hydra/launcher=joblib is not installed ... pip install '.[joblib]'")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.command
def test_a_second_sweep_in_the_folder_of_one_that_runs_is_refused(here, tmp_path):
    from optimize.sweep.alive import alone_with

    lock = alone_with(tmp_path / "s")
    code, last = here("prune=0.1,0.2", "hydra.sweep.dir=s")
    assert code == 1
    assert is_error(last, "sweep in s is running ... wait ... another folder ... hydra.sweep.dir=")
    lock.release()


def test_a_node_that_does_not_share_the_folder_says_so(tmp_path):
    sweep.begin(tmp_path, "python -m optimize -m prune=0,1", ["prune=0,1"], 2)
    told = json.loads((tmp_path / "sweep.json").read_text())
    assert sweep.home(tmp_path) == Path.cwd() == Path(told["cwd"])
    (tmp_path / "sweep.json").write_text(json.dumps(told | {"cwd": "/not/here"}))
    for folder, unseen in (tmp_path, "/not/here"), (tmp_path / "s", tmp_path / "s"):
        with pytest.raises(sweep.InputError, match=like(f"does not see {unseen} ... several machines")):
            sweep.home(folder)
