"""What stages took in earlier runs, and what a later run is told to expect of it."""

import pytest

from optimize.store import durations, held
from optimize.store.durations import Load, Spent, expected, read, record

LOAD = Load(flops=10, train_images=100, choice_images=20, report_images=50, epochs=4)


def run(store, folder, *work, machine="here", load=LOAD):
    folder.mkdir()
    store.mkdir(exist_ok=True)
    with held.noting(folder):
        for stage, seconds, size, times in work:
            held.record_made(stage, seconds, size, times)
        held.record_found("Prune")
    record(store, machine, load, folder)


def test_what_was_made_is_added_up_by_stage(tmp_path):
    run(tmp_path / "s", tmp_path / "a", ("Prune", 2.0, 7, 1), ("validation", 1.5, 3, 1), ("validation", 2.5, 5, 2))
    (one,) = read(tmp_path / "s", "here")
    assert one.stages == {"Prune": Spent(1, 2.0, 7), "validation": Spent(3, 4.0, 8)}
    assert (one.load, read(tmp_path / "s", "elsewhere")) == (LOAD, [])


def test_a_run_that_made_nothing_leaves_no_record(tmp_path):
    run(tmp_path / "s", tmp_path / "a")
    assert not (tmp_path / "s" / durations.NAME).exists()
    assert read(tmp_path / "s", "here") == []


@pytest.mark.parametrize(
    ("stage", "grows"),
    [
        ("Prune", {"flops": 3}),
        ("Finetune", {"flops": 2, "train_images": 3, "epochs": 5}),
        ("validation", {"flops": 2, "report_images": 3}),
        ("Int8", {"flops": 2, "choice_images": 3}),
        ("OpenVino.export", {"epochs": 1}),
    ],
)
def test_the_time_grows_with_what_the_stage_works_on(tmp_path, stage, grows):
    run(tmp_path / "s", tmp_path / "a", (stage, 6.0, 100, 2))
    known, factor = read(tmp_path / "s", "here"), 1
    larger = vars(LOAD).copy()
    for name, times in grows.items():
        larger[name] *= times
        factor *= times
    seconds, size = expected(known, stage, Load(**larger))
    assert (seconds, size) == (pytest.approx(3.0 * factor), 50)


def test_the_median_of_several_runs_is_expected_and_nothing_where_none_did_it(tmp_path):
    for name, seconds in (("a", 1.0), ("b", 9.0), ("c", 2.0)):
        run(tmp_path / "s", tmp_path / name, ("Prune", seconds, 5, 1))
    known = read(tmp_path / "s", "here")
    assert expected(known, "Prune", LOAD) == (pytest.approx(2.0), 5)
    assert expected(known, "Finetune", LOAD) is None


def test_lines_that_are_no_records_are_passed_over(tmp_path):
    run(tmp_path / "s", tmp_path / "a", ("Prune", 1.0, 5, 1))
    file = tmp_path / "s" / durations.NAME
    good = file.read_bytes()
    odd = b'{"machine": 3}\n[]\n\nno json\n' + good.replace(b"1.0", b"-1.0") + good.replace(b"1.0", b"NaN")
    file.write_bytes(odd + good + b'{"machine": "here", "load"')
    assert len(read(tmp_path / "s", "here")) == 1
