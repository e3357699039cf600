"""A search asks for jobs that are not known yet, learns from times on one clock, and goes on where it was killed."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import optuna
import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.samplers import GPSampler, RandomSampler
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

from helpers import reports
from helpers.commands import command
from helpers.messages import is_error, like
from optimize.dataset import ImageSet
from optimize.errors import InputError
from optimize.input_size import Size, square
from optimize.limits import Limits
from optimize.measure.accuracy import Accuracy
from optimize.report import results
from optimize.sweep import callback, job
from optimize.sweep.job import BUILT, FAILED, RESULTS, Job
from optimize.sweep.search import objective, search
from optimize.sweep.search.objective import Worth, asked, worth
from optimize.sweep.search.search import Asked
from optimize.sweep.search.space import Original, neat, overrides, space
from optimize.verdict.plain import points

GRID = {"prune": "range(0,0.5,0.1)", "pruner": "choice(l2,bn)", "quant": "none,int8", "imgsz": "choice(1,0.5)"}


def spaced(**sweeps):
    return space(OverridesParser.create().parse_overrides([f"{key}={sweep}" for key, sweep in sweeps.items()]))


def test_hydras_sweeps_become_a_space():
    found = spaced(prune="interval(0.1,0.6)", epochs="range(2,10,2)", quant="none,int8", imgsz="null,320")
    assert found == {
        "prune": FloatDistribution(0.1, 0.6),
        "epochs": FloatDistribution(2, 8, step=2),
        "quant": CategoricalDistribution(["none", "int8"]),
        "imgsz": CategoricalDistribution(["null", "320"]),
    }


@pytest.mark.parametrize(
    ("sweep", "sentence"),
    [
        ("interval(0.6,0.1)", "prune=interval(0.6,0.1) is empty ... the smaller number first"),
        ("range(1,1)", "prune=range(1,1) is empty ... at least one value"),
    ],
)
def test_a_sweep_of_nothing_is_one_sentence(sweep, sentence):
    with pytest.raises(InputError, match=like(sentence)):
        spaced(prune=sweep)


def test_a_point_is_what_a_job_is_given_with_sizes_as_shares_of_the_original():
    point = neat({"prune": 0.123456, "epochs": 4.0, "quant": "int8", "imgsz": "0.8"})
    assert overrides(point, Original(square(640), 32)) == {
        "prune": "0.1235",
        "epochs": "4",
        "quant": "int8",
        "imgsz": "512",
    }
    given = {"1": "160", "null": "160", "0.7": "128", "0.01": "32", "320": "320"}
    assert {size: overrides({"imgsz": size}, Original(square(160), 32))["imgsz"] for size in given} == given
    assert overrides({"imgsz": "0.8"}, Original(square(640), 64)) == {"imgsz": "512"}
    assert overrides({"imgsz": "0.01"}, Original(square(640), 64)) == {"imgsz": "64"}
    assert overrides({"imgsz": "0.5"}, Original(Size(384, 640), 32)) == {"imgsz": "[192,320]"}
    assert overrides({"imgsz": "1"}, None) == {"imgsz": "null"}


def made(quant="int8", **changes):
    config = {**reports.provenance().config, "trust": False, "rounds": 12, "pruner": {}, "tracking": "none"}
    return reports.report(provenance=reports.provenance(config=config), quant=quant, **changes)


def test_a_job_is_judged_by_what_it_asked_for_and_not_by_what_all_jobs_have():
    def names(report):
        return [(row.variant.name, row.variant.runtime) for row in asked(report)]

    both = [("pruned+int8", "onnxruntime"), ("pruned+int8", "openvino")]
    assert names(made()) == both
    pruned = [("pruned", "torch"), ("pruned", "onnxruntime"), ("pruned+int8", "onnxruntime")]
    assert names(made(None))[:3] == pruned
    untouched = [row for row in made().results if "pruned" not in row.variant.name]
    assert names(made(results=tuple(untouched))) == [("int8", "onnxruntime"), ("int8", "openvino")]
    assert names(made("fp16")) == []


def slowed(by):
    """`timed` on a machine that takes `by` times as long as the one of the made-up report."""

    def timed(given, with_frames=False):
        def later(row):
            return replace(row, latency=row.latency and replace(row.latency, median_ms=by * row.latency.median_ms))

        return [replace(report, results=tuple(map(later, report.results)), noise=0.01) for report in given]

    return timed


def test_times_are_those_of_the_first_clock_however_slow_the_machine_is_meanwhile(monkeypatch):
    report = made(limits=Limits(max_drop=2, latency_ms=5, size_mb=1))
    monkeypatch.setattr(objective, "timed", slowed(1))
    (first,), speed = worth(report, [report])
    monkeypatch.setattr(objective, "timed", slowed(3))
    (later,), same = worth(report, [report], speed)
    row = next(row for row in asked(report) if row.variant.runtime == "openvino")
    assert first.row == later.row == "pruned+int8 on OpenVINO"
    assert speed == same == {"torch": 20.0, "onnxruntime": 10.0, "openvino": 8.0}
    assert first.milliseconds == pytest.approx(row.latency.median_ms, rel=1e-12)
    assert later.milliseconds == first.milliseconds and later.score == row.accuracy.score
    assert later.excess == {
        "max_drop": -points(row, report) - 2,
        "latency_ms": later.milliseconds / 5 - 1,
        "size_mb": row.size_bytes / 1e6 - 1,
    }


def test_the_points_lost_are_those_against_the_first_jobs_original_and_not_against_a_smaller_one(monkeypatch):
    small = [replace(row, variant=replace(row.variant, imgsz=square(64))) for row in made().results if not row.rival]
    lower = [replace(row, accuracy=replace(row.accuracy, metrics={"mAP50-95": 0.5})) for row in small]
    monkeypatch.setattr(objective, "timed", slowed(1))
    (found,), _ = worth(made(), [made(results=tuple(lower))])
    assert (found.score, found.excess) == (0.5, {"max_drop": pytest.approx(100 * (0.6 - 0.5) - 1)})


def test_a_runtime_in_which_the_original_was_not_timed_counts_for_nothing(monkeypatch):
    def timed(given, with_frames=False):
        def without(row):
            return replace(row, latency=None) if row.variant.name == "original" else row

        return [replace(report, results=tuple(map(without, report.results)), noise=0.01) for report in given]

    monkeypatch.setattr(objective, "timed", timed)
    assert worth(made(), [made()], {"torch": 1.0, "openvino": 1.0})[0] == [None]


APART = {"accuracy_on": ImageSet("test", 8, 8, "t"), "chosen_on": ImageSet("val", 9, 9, "v")}


def test_a_job_is_worth_what_it_scores_on_the_images_that_choices_are_made_on(monkeypatch):
    def lower(row):
        moved = {name: score - 0.1 for name, score in row.accuracy.metrics.items()}
        return replace(row, choice=replace(row.accuracy, metrics=moved))

    monkeypatch.setattr(objective, "timed", slowed(1))
    (plain,), _ = worth(made(), [made()])
    both = made(results=tuple(map(lower, made().results)))
    (found,), _ = worth(both, [both])
    assert (found.row, found.excess) == (plain.row, {"max_drop": pytest.approx(plain.excess["max_drop"])})
    assert found.score == pytest.approx(plain.score - 0.1)
    (found,), _ = worth(made(), [both])  # against an original that is reported only
    assert found.excess == {"max_drop": pytest.approx(plain.excess["max_drop"] + 10)}


def test_only_what_a_job_asked_for_is_validated_on_them():
    judge = SimpleNamespace(choice_score=lambda variant: Accuracy({"mAP50-95": 0.25, "mAP50": 0.5}, 9, {}))
    report = made()
    assert objective.scored(report, judge) is report  # both are the same images
    report = replace(report, provenance=replace(report.provenance, **APART))
    found = objective.scored(report, judge)
    assert [row.choice_accuracy.score for row in asked(found)] == [0.25, 0.25]
    others = [row for row in found.results if row not in asked(found)]
    assert all(row.choice is None and row.choice_accuracy == row.accuracy for row in others) and len(others) == 13
    assert [replace(row, choice=None) for row in found.results] == list(report.results)


@pytest.fixture
def judged(monkeypatch):
    """What jobs are worth follows from their settings: the more is pruned, the faster and the worse.

    A sampler that draws at random knows as little twice, and takes no time.
    """
    monkeypatch.setattr(search, "GPSampler", lambda seed, n_startup_trials: RandomSampler(seed))

    def told(first, others, speed=None):
        worths = [Worth("a row", 0.8 - p**2, 10 * (1 - p), {"max_drop": 100 * p**2 - 1}) for p in map(pruned, others)]
        return worths, {"torch": 1.0}

    def pruned(report):
        return float(report.provenance.config["prune"])

    monkeypatch.setattr(search, "worth", told)


def launcher(folder: Path, ran: dict[int, dict], failing=(), stop_at=None):
    """Builds jobs in no time; those numbered `failing` fail, and the process is killed at number `stop_at`."""

    def launch(batch, first):
        for number, given in enumerate(batch, first):
            if number == stop_at:
                raise KeyboardInterrupt
            ran[number] = given
            (folder / str(number)).mkdir(parents=True, exist_ok=True)
            job.write(Job(number, (), FAILED if number in failing else BUILT, "here", 0.0, 1.0), folder / str(number))
            report = made()
            config = report.provenance.config | {"prune": given["prune"]}
            report = replace(report, provenance=replace(report.provenance, config=config))
            results.write(report, folder / str(number) / RESULTS)

    return launch


def trials(folder: Path) -> list[optuna.trial.FrozenTrial]:
    storage = JournalStorage(JournalFileBackend(str(folder / search.FILE)))
    return optuna.load_study(study_name="search", storage=storage).trials


def ask(trials=10, batch=3, seed=0, fixed=None, sweeps=GRID) -> Asked:
    return Asked(fixed or {}, spaced(**sweeps), trials, batch, seed)


def test_the_first_job_is_the_original_and_no_two_jobs_are_the_same(tmp_path, judged):
    ran = {}
    search.run(ask(fixed={"epochs": "1"}), tmp_path, launcher(tmp_path, ran))
    assert list(ran) == list(range(10))
    assert ran[0] == {"epochs": "1", "prune": "0", "pruner": "l2", "quant": "none", "imgsz": "null"}
    different = {
        tuple(value for key, value in one.items() if key != "pruner" or one["prune"] != "0") for one in ran.values()
    }
    assert len(different) == 10
    assert {one["imgsz"] for one in ran.values()} == {"null", "96", "64"}  # a half of 96 px, as a multiple of 32
    told = trials(tmp_path)
    assert [trial.values for trial in told] == [
        [0.8 - float(one["prune"]) ** 2, 10 * (1 - float(one["prune"]))] for one in ran.values()
    ]
    assert told[0].params == {"prune": 0.0, "pruner": "l2", "quant": "none", "imgsz": "1"}
    assert told[1].constraints == {"max_drop": 100 * float(ran[1]["prune"]) ** 2 - 1}


@pytest.mark.parametrize(("given", "inside"), [("0", True), ("0.00", True), ("0.3", False)])
def test_the_first_job_lies_in_the_space_where_what_is_fixed_is_what_it_has(given, inside, tmp_path, judged):
    """The first job prunes nothing: with all jobs at 0 it has a point like any other, with all at 0.3 it has none."""
    sweeps = {key: value for key, value in GRID.items() if key != "prune"}
    ran = {}
    search.run(ask(trials=2, batch=1, fixed={"prune": given}, sweeps=sweeps), tmp_path, launcher(tmp_path, ran))
    assert float(ran[0]["prune"]) == 0
    assert trials(tmp_path)[0].params == ({"pruner": "l2", "quant": "none", "imgsz": "1"} if inside else {})


def test_equal_seeds_ask_for_equal_jobs_and_others_for_others(tmp_path, judged, monkeypatch):
    monkeypatch.setattr(search, "GPSampler", GPSampler)
    ran = {"a": {}, "b": {}, "c": {}}
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        (tmp_path / name).mkdir()
        search.run(ask(trials=7, seed=seed), tmp_path / name, launcher(tmp_path / name, ran[name]))
    assert ran["a"] == ran["b"] != ran["c"]


@pytest.mark.parametrize("killed", [0, 2, 5, 9])
def test_a_search_that_was_killed_goes_on_with_the_same_jobs(tmp_path, judged, killed):
    (tmp_path / "a").mkdir(), (tmp_path / "b").mkdir()
    whole, before, after = {}, {}, {}
    search.run(ask(), tmp_path / "a", launcher(tmp_path / "a", whole))
    with pytest.raises(KeyboardInterrupt):
        search.run(ask(), tmp_path / "b", launcher(tmp_path / "b", before, stop_at=killed))
    search.run(ask(), tmp_path / "b", launcher(tmp_path / "b", after))
    assert before | after == whole
    assert min(after) == (0 if killed == 0 else 1 + (killed - 1) // 3 * 3)  # finished batches are not done again
    assert [trial.values for trial in trials(tmp_path / "b")] == [trial.values for trial in trials(tmp_path / "a")]


def test_a_batch_of_which_only_a_part_was_noted_goes_on_with_the_rest_as_it_was(tmp_path, judged, monkeypatch):
    (tmp_path / "a").mkdir(), (tmp_path / "b").mkdir()
    whole, after, note = {}, {}, optuna.Study.add_trial
    search.run(ask(), tmp_path / "a", launcher(tmp_path / "a", whole))

    def until_the_sixth(study, trial):
        if study.study_name == "search" and len(study.trials) == 6:
            raise KeyboardInterrupt
        note(study, trial)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(optuna.Study, "add_trial", until_the_sixth)
        search.run(ask(), tmp_path / "b", launcher(tmp_path / "b", {}))
    search.run(ask(), tmp_path / "b", launcher(tmp_path / "b", after))
    assert after == {number: given for number, given in whole.items() if number >= 6}


def test_a_failed_job_is_a_failed_trial_and_the_search_goes_on(tmp_path, judged):
    ran = {}
    search.run(ask(trials=7), tmp_path, launcher(tmp_path, ran, failing=(2, 5)))
    assert len(ran) == 7
    assert [trial.number for trial in trials(tmp_path) if trial.state == TrialState.FAIL] == [2, 5]


def test_without_the_original_nothing_can_be_compared_and_the_search_ends(tmp_path, judged):
    ran = {}
    search.run(ask(), tmp_path, launcher(tmp_path, ran, failing=(0,)))
    assert list(ran) == [0] and trials(tmp_path) == []


def test_a_search_of_everything_there_is_ends(tmp_path, judged):
    ran = {}
    search.run(ask(trials=99, sweeps={"prune": "0,0.2,0.4", "pruner": "l2,bn"}), tmp_path, launcher(tmp_path, ran))
    shares = sorted(one["prune"] for one in ran.values())
    # nothing pruned is the same with each criterion; the first job is not quantized, and so another one
    assert shares == ["0", "0", "0.2", "0.2", "0.4", "0.4"]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["hydra.sweeper.trials=0"], "hydra.sweeper.trials=0 ... whole number from 1."),
        (["hydra.sweeper.batch=a"], "hydra.sweeper.batch=a ... whole number from 1."),
        (["seed=-1"], "hydra.sweeper.seed=-1 ... whole number from 0."),
        (["prun=interval(0,1)"], "prun is not a key ... --help"),
        (["pruner=l2,foo"], "pruner=foo ... bn, l2, lamp, random, taylor"),
        (["prune=interval(1,0)"], "prune=interval(1,0) is empty ... the smaller number first"),
    ],
)
def test_a_wrong_search_is_one_sentence_and_leaves_nothing(tmp_path, monkeypatch, capsys, words, sentence):
    monkeypatch.chdir(tmp_path)
    code, out, err = command(monkeypatch, capsys, "experiment=search", *words)
    assert (code, out) == (1, "") and is_error(err, sentence)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_search_without_optuna_says_what_to_install(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(callback, "find_spec", lambda name: None)
    code, _, err = command(monkeypatch, capsys, "experiment=search")
    assert code == 1
    assert is_error(err, "optuna ... not installed ... pip install '.[search]'")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.command
def test_hydra_finds_the_sweeper_without_importing_optuna_or_torch():
    code = (
        "import sys; from hydra.core.plugins import Plugins; "
        "assert 'hydra_plugins.optimize_search.Search' in Plugins.instance().class_name_to_class; "
        "print({'torch', 'optuna'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
