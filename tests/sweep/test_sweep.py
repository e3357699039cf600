"""A sweep's folder, its jobs, and how what they made is timed together."""

from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest

from helpers import reports
from helpers.commands import command
from helpers.messages import is_error, like, says
from optimize.errors import InputError
from optimize.input_size import square
from optimize.measure import latency
from optimize.measure.latency import Timing, Untimed
from optimize.sweep import job, sweep, timing
from optimize.sweep.job import Job


def test_a_job_is_read_as_it_was_written(tmp_path):
    assert job.read(tmp_path) is None
    known = Job(3, ("prune=0.3", "model=a b.pt"), job.FAILED, "here", 1.5, 2.5, "it failed.")
    job.write(known, tmp_path)
    assert job.read(tmp_path) == known
    assert [path.name for path in tmp_path.iterdir()] == ["job.json"]


def test_the_same_command_goes_on_and_another_is_refused(tmp_path):
    first = sweep.begin(tmp_path, "python -m optimize -m prune=0,0.3", ["prune=0,0.3"], 2)
    again = sweep.begin(tmp_path, "python -m optimize --multirun prune=0,0.3", ["prune=0,0.3"], 2)
    assert again == first
    what = f"hydra.sweep.dir={tmp_path} holds the sweep `python -m optimize -m prune=0,0.3`"
    with pytest.raises(InputError, match=like(f"{what} ... go on with that ... another folder")):
        sweep.begin(tmp_path, "python -m optimize -m prune=0.5,0.6", ["prune=0.5,0.6"], 2)


def test_a_folder_without_a_sweep_is_one_sentence(tmp_path):
    with pytest.raises(InputError, match=like("no sweep.json ... the folder of a sweep ... runs/sweep_")):
        sweep.read(tmp_path)


class Clock:
    """In place of `latency.measure`: notes what is timed together; the first of two precisions takes 8 ms."""

    def __init__(self, broken: str | None = None):
        self.groups, self.broken = [], broken

    def __call__(self, subjects, threads, rounds, seed, references, seconds, frames):
        assert (threads, rounds, seed) == (2, 12, 0)
        self.seconds = seconds
        names = [f"{variant.name} on {variant.runtime}" for _, variant in subjects]
        self.groups.append([(name, names[reference]) for name, reference in zip(names, references, strict=True)])
        if self.broken in names:
            raise Untimed(f"{self.broken} can't be timed.", names.index(self.broken))
        known = reports.report().results[0].latency
        own = [replace(known, median_ms=float(len(self.groups)), speedup=float(i)) for i in range(len(subjects))]
        return Timing(tuple(own), 0.01 * len(self.groups), 0.02, 12, frames=tuple(frames))


CONFIG = {
    "rounds": 12,
    "seed": 0,
    "trust": False,
    "runtime": {"openvino": {"_target_": "optimize.runtime.openvino.OpenVino"}},
}


def built(*names: str):
    """A job's report of rows in OpenVINO and torch, not timed; an artefact's bytes follow from its name."""
    whole = reports.report()
    rows = [
        replace(row, latency=None, sha256=sha256(f"{row.variant.name} {row.variant.runtime}".encode()).hexdigest())
        for row in whole.results
        if row.variant.name in names and row.variant.runtime in ("torch", "openvino")
    ]
    made = replace(whole.provenance, config=CONFIG)
    return replace(whole, results=tuple(rows), provenance=made, noise=None, noise_spread=None)


def test_what_several_jobs_made_is_timed_once_and_with_its_own_original(monkeypatch):
    monkeypatch.setattr(latency, "measure", clock := Clock())
    first, second = timing.timed([built("original", "pruned"), built("original", "int8")])
    assert clock.groups == [
        [
            ("original on torch", "original on torch"),
            ("pruned on torch", "original on torch"),
            ("original on openvino", "original on openvino"),
            ("pruned on openvino", "original on openvino"),
            ("int8 on openvino", "original on openvino"),
        ]
    ]
    assert [row.latency.speedup for row in first.results] == [0, 1, 2, 3]
    assert [row.latency.speedup for row in second.results] == [0, 2, 4]
    assert (first.noise, second.noise_spread) == (0.01, 0.02)


def test_equal_bytes_at_another_input_are_another_artefact(monkeypatch):
    monkeypatch.setattr(latency, "measure", clock := Clock())
    small = built("original")
    small = replace(
        small, results=tuple(replace(row, variant=replace(row.variant, imgsz=square(64))) for row in small.results)
    )
    timing.timed([built("original"), small])
    assert len(clock.groups[0]) == 4


def test_many_files_have_shorter_visits_so_that_all_take_ten_minutes(monkeypatch):
    monkeypatch.setattr(latency, "measure", clock := Clock())
    few = built("original")
    timing.timed([few])
    assert clock.seconds == 20
    (row, *_) = few.results
    others = [replace(row, sha256=f"{i:064x}") for i in range(120)]
    timing.timed([replace(few, results=tuple(others))])
    assert clock.seconds == 600 / 120


def test_one_file_that_takes_frames_of_two_sizes_is_timed_for_each(monkeypatch):
    monkeypatch.setattr(latency, "measure", clock := Clock())
    large = built("original")
    config = large.provenance.config | {"frame": "1920x1080"}
    large = replace(large, provenance=replace(large.provenance, config=config))
    timing.timed([built("original"), large])
    assert len(clock.groups[0]) == 4


def test_what_cannot_be_timed_is_a_failure_of_every_job_that_has_it(monkeypatch):
    monkeypatch.setattr(latency, "measure", clock := Clock(broken="original on openvino"))
    both = timing.timed([built("original", "pruned"), built("original", "int8")])
    assert len(clock.groups) == 2
    assert ("pruned on openvino", "pruned on openvino") in clock.groups[1]  # the first that is left is the reference
    for report in both:
        assert [failure.sentence for failure in report.failures] == ["original on openvino can't be timed."]
        untimed = [row.variant.name for row in report.results if row.latency is None]
        assert untimed == ["original"]


@pytest.fixture
def sweeping(tmp_path, dataset, checkpoint, monkeypatch, capsys):
    """Run a sweep in tmp_path; gives exit code, the sweep as its folder tells, stdout and stderr."""
    monkeypatch.chdir(tmp_path)
    common = f"data={dataset}", "rounds=12", "epochs=0", "runtime=[]", "rivals=none", "pruner=l2", "quant=none"

    def run(*words: str):
        words = words if any(word.startswith("model=") for word in words) else (f"model={checkpoint}", *words)
        code, out, err = command(monkeypatch, capsys, "-m", *words, *common, "hydra.sweep.dir=s")
        return code, sweep.read(Path("s")), out, err

    return run


@pytest.mark.command
def test_a_job_that_fails_is_a_row_and_the_others_are_complete(sweeping, checkpoint):
    code, found, out, err = sweeping(f"model=none.pt,{checkpoint}", "prune=0,0.2")
    assert code == 1
    assert [one.state for one in found.jobs] == ["failed", "failed", "built", "built"]
    sentence = found.jobs[0].sentence
    assert says(sentence, "model=none.pt does not exist ... .pt checkpoint ... `digits`")
    assert [one.sentence for one in found.jobs] == [sentence, sentence, None, None]
    assert f"({found.jobs[0].overrides[0]} " in err.splitlines()[-1] and sentence in err.splitlines()[-1]
    assert "Traceback" not in err
    assert out.splitlines()[-1] == "s"
    assert found.timed and list(found.reports) == [2, 3]
    assert all(row.latency for report in found.reports.values() for row in report.results)
    assert found.reports[3].provenance.command.startswith(f"python -m optimize model={checkpoint} prune=0.2")
    assert found.made["Prune"] == 1 and found.found["Prune"] == 0
    assert (found.made["validation"], found.found["validation"]) == (2, 1)  # the original is in both jobs
    original = [report.results[0] for report in found.reports.values()]
    assert original[0].latency == original[1].latency  # one measurement
    assert not Path("s/2/artefacts").exists()


@pytest.mark.command
def test_a_sweep_that_is_started_again_finds_what_was_finished(sweeping):
    _, first, _, _ = sweeping("prune=0.2")
    _, again, _, _ = sweeping("prune=0.2")
    assert list(first.reports) == list(again.reports) == [0]
    assert again.made == first.made
    assert again.found["Prune"] == 1
    for number, report in again.reports.items():
        for row, before in zip(report.results, first.reports[number].results, strict=True):
            assert (row.sha256, row.accuracy, row.cost) == (before.sha256, before.accuracy, before.cost)


@pytest.mark.command
def test_another_sweep_in_the_same_folder_is_refused_before_any_work(sweeping):
    sweep.begin(Path("s"), "python -m optimize -m prune=0.2", ["prune=0.2"], 1)
    code, found, out, err = sweeping("prune=0.3")
    assert (code, out, found.jobs) == (1, "", ())
    what = "hydra.sweep.dir=s holds the sweep `python -m optimize -m prune=0.2`"
    assert is_error(err, f"{what} ... go on with that ... another folder")
