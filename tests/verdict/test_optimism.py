"""What the verdict's choice is worth on other images, found from the folds that are kept anyway."""

import json
from dataclasses import replace
from statistics import fmean, stdev

import numpy as np
import pytest

from helpers import reports
from optimize.limits import Limits
from optimize.measure.accuracy import Accuracy, leave_groups_out
from optimize.report import results, words
from optimize.verdict.optimism import Optimism, of_choice, of_report, on_groups

ANY = Limits(max_drop=100)  # of rows that are as fast, the most accurate


def mean_of(values: np.ndarray) -> Accuracy:
    """An accuracy that is the mean over images, as top-1 is."""
    return Accuracy({"top-1": fmean(values), "top-5": 1.0}, len(values), {}, folds=leave_groups_out(values, np.mean))


def scored(values: np.ndarray):
    """A report with a row for each row of `values` (rows, images), the first is the original, all equally fast."""
    row = reports.report().results[0]
    rows = [replace(row, accuracy=mean_of(own)) for own in values]
    return reports.report(results=tuple(rows), limits=ANY)


@pytest.mark.parametrize("images", [20, 100])
def test_for_a_mean_the_score_on_a_half_is_that_of_its_images(images):
    values = np.random.default_rng(0).random(images)
    half = [0, 3, 4, 7, 11, 12, 13, 16, 18, 19]
    of_half = values[[i for i in range(images) if i % 20 in half]]
    found = on_groups(mean_of(values), half)
    assert found.score == pytest.approx(fmean(of_half), abs=1e-12)
    means = [fmean(values[group::20]) for group in half]
    assert found.error == pytest.approx(stdev(means) / 10**0.5, rel=1e-9)
    assert on_groups(mean_of(values), range(20)).score == pytest.approx(fmean(values), abs=1e-12)


def test_it_is_what_the_best_of_many_equal_rows_gains_by_luck():
    """The expected largest of 24 standard normals is 1.948; a half has 100 images."""
    draws = np.random.default_rng(0)
    found = [of_report(scored(0.5 + 0.1 * draws.standard_normal((24, 200)))).points for _ in range(60)]
    assert fmean(found) == pytest.approx(100 * 1.948 * 0.1 / 100**0.5, abs=2.5 * stdev(found) / 60**0.5)
    assert stdev(found) / 60**0.5 < 0.06


def test_there_is_none_where_one_row_is_better_everywhere():
    values = np.random.default_rng(0).random((1, 200)) + np.array([[0.0], [0.01], [0.2]])
    found = of_report(scored(values))
    assert found.rows == 3
    assert (found.points, found.spread) == (pytest.approx(0, abs=1e-9), pytest.approx(0, abs=1e-9))


def test_it_is_the_same_each_time_and_changes_with_the_limits():
    report = scored(0.5 + 0.1 * np.random.default_rng(1).standard_normal((24, 200)))
    assert of_report(report) == of_report(report)
    assert of_report(replace(report, limits=Limits(flops=1e12))).points != of_report(report).points


def test_it_is_not_known_for_one_row_nor_without_folds():
    report = scored(np.random.default_rng(0).random((3, 200)))
    assert of_report(report) is not None
    first, second, third = report.results
    assert of_report(replace(report, results=(first,))) is None
    for folds in ((), second.accuracy.folds[1:]):
        other = replace(second, accuracy=replace(second.accuracy, folds=folds))
        assert of_report(replace(report, results=(first, other, third))) is None
    few = [replace(row, accuracy=replace(row.accuracy, folds=row.accuracy.folds[:3])) for row in report.results]
    assert of_report(replace(report, results=tuple(few))) is None
    untimed = tuple(replace(row, latency=None) for row in report.results)
    assert of_report(replace(report, results=untimed)) is None
    assert of_report(replace(report, unfinished="it was stopped")) is None
    assert of_choice([], ANY) is None


def test_rows_of_several_reports_are_compared_each_with_its_own_original():
    one, other = (scored(np.random.default_rng(seed).random((5, 200))) for seed in (0, 1))
    shift = [replace(row, accuracy=mean_of(np.full(200, 0.5))) for row in other.results]
    both = [*((row, one) for row in one.results), *((row, replace(other, results=tuple(shift))) for row in shift)]
    found = of_choice(both, ANY)
    assert found.rows == 10
    alone = of_choice([(row, one) for row in one.results], ANY)
    assert found != alone


def test_the_report_and_results_json_tell_it(tmp_path):
    report = reports.report()
    found = of_report(report)
    assert words.notes(report) == [*words.method(report), found.sentence]
    assert Optimism(0.41, 0.32, 24).sentence.startswith(
        "Optimism: the verdict chooses among 24 rows by accuracies of this report, which is worth 0.4 +- 0.3 points: "
    )
    results.write(report, tmp_path / "results.json")
    written = json.loads((tmp_path / "results.json").read_text())["optimism"]
    assert written == {"points": found.points, "spread": found.spread, "rows": 15}
    results.write(replace(report, unfinished="it was stopped"), tmp_path / "results.json")
    assert json.loads((tmp_path / "results.json").read_text())["optimism"] is None
    assert results.read(tmp_path / "results.json").unfinished
