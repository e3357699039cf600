"""With `val_images`: which rows are validated on all images, and that the two kinds of accuracy are never compared."""

from dataclasses import replace

import pytest

from helpers import reports
from helpers.messages import says
from optimize.dataset import EvaluationImages, ImageSet
from optimize.finalists import finalists, on_all_images
from optimize.limits import Limits
from optimize.report import page, results, words
from optimize.report.sections import all_images
from optimize.result import Report
from optimize.verdict import verdict
from optimize.verdict.plain import points

PART, WHOLE = ImageSet("val", 8, 40, "part"), ImageSet("val", 40, 40, "whole")


def report(**scores: float) -> Report:
    """The made-up report, on a part of the images, with other scores of the rows in OpenVINO; errors are 0.01."""
    made = reports.report(provenance=reports.provenance(accuracy_on=PART, chosen_on=PART, whole=WHOLE))
    return replace(made, results=tuple(_with(row, scores.get(_key(row), row.accuracy.score)) for row in made.results))


def _key(row) -> str:
    return row.variant.name.replace("+", "_") if row.variant.runtime == "openvino" else ""


def _with(row, score):
    """Folds that differ by +-e between two rows have an error of e sqrt(G - 1): 0.005 against the original.

    Of `pruned+int8` in OpenVINO they go the other way than those of all others, so against these it is 0.01.
    """
    e = 0.0 if row.variant.name == "original" else 0.005 / 7**0.5
    sign = 1 if _key(row) == "pruned_int8" else -1
    folds = tuple(score + sign * e * (-1) ** i for i in range(8))
    metrics = row.accuracy.metrics | {"mAP50-95": score}
    return replace(row, accuracy=replace(row.accuracy, metrics=metrics, folds=folds))


class Judge:
    """Every row has another score on all images: what it has on the part and `gain` by name."""

    def __init__(self, made, whole=True, **gains):
        self.made, self.gains, self.asked = made, gains, []
        files = tuple(range(40))
        self.data = self
        self.whole = EvaluationImages("val", files, 40, "whole") if whole else None

    def whole_score(self, variant):
        row = next(row for row in self.made.results if row.variant == variant)
        self.asked.append((variant.name, variant.runtime))
        gain = self.gains.get(variant.name.replace("+", "_"), 0.0)
        folds = tuple(fold + gain for fold in row.accuracy.folds)
        metrics = row.accuracy.metrics | {"mAP50-95": row.accuracy.score + gain}
        return replace(row.accuracy, images=40, metrics=metrics, folds=folds)


def test_finalists_are_the_original_and_what_is_about_as_accurate_as_the_best():
    made = report(pruned_int8=0.595, pruned=0.58, int8=0.62, original=0.6)
    assert verdict.decide(made).best.variant.name == "pruned+int8"
    found = {(row.variant.name, row.variant.runtime) for row in finalists(made)}
    assert ("original", "torch") in found
    assert {("pruned+int8", "openvino"), ("original", "openvino"), ("pruned", "openvino")} <= found
    assert not [row for row in found if row[0] == "64px"]


def test_a_rival_that_beats_the_best_is_one():
    """It is as fast as the best but for the noise, and too much more accurate to be about as accurate."""
    made = report(pruned_int8=0.595)
    rows = [
        replace(_with(row, 0.7), latency=replace(row.latency, speedup=2.7)) if _key(row) == "64px_int8" else row
        for row in made.results
    ]
    made = replace(made, results=tuple(rows), limits=Limits(max_drop=1.0, flops=7.1e8))  # the rival has more
    best = verdict.decide(made).best
    assert (best.variant.name, best.rival) == ("pruned+int8", False)
    found = [row for row in finalists(made) if row.rival]
    assert [(row.variant.name, row.variant.runtime) for row in found] == [("64px+int8", "openvino")]


def test_the_verdict_is_over_all_images_and_the_table_over_the_part():
    made = report(pruned_int8=0.595)
    judge = Judge(made, pruned_int8=-0.03)
    final = on_all_images(made, judge)
    assert sorted(judge.asked) == sorted((row.variant.name, row.variant.runtime) for row in finalists(made))
    assert [row.accuracy for row in final.results] == [row.accuracy for row in made.results]
    assert verdict.decide(made).best.variant.name == "pruned+int8"
    best = verdict.decide(final.concluded).best  # it lost 3.5 points on all images, more than the usual limit
    assert best.variant.name != "pruned+int8"
    assert verdict.headline(final).startswith("int8 on OpenVINO")
    assert [kind for kind in words.kinds(final) if kind == "best"] == ["best"]
    place = [row.variant for row in final.results].index(best.variant)
    assert words.kinds(final)[place] == "best"
    chosen = verdict.chosen(final)
    assert chosen in final.results and chosen.whole is not None


def test_points_compare_accuracies_of_the_same_images():
    made = report(pruned_int8=0.595)
    final = on_all_images(made, Judge(made, pruned_int8=0.02, original=0.02)).concluded
    row = next(r for r in final.results if _key(r) == "pruned_int8")
    assert points(row, final) == pytest.approx(-0.5)
    assert {r.accuracy.images for r in final.results} == {40}


def test_the_report_marks_which_are_which(tmp_path):
    made = report(pruned_int8=0.595)
    final = on_all_images(made, Judge(made, pruned_int8=0.02, original=0.02))
    accuracy = next(note for note in words.notes(final) if note.startswith("Accuracy:"))
    count = len(final.concluded.results)
    assert says(accuracy, f"8 of 40 validation images ... {count} rows also on all ... never compared")
    section = all_images.section(final)
    assert says(section.lead, "also on 40 validation images")
    assert len(section.tables[0].rows) == count < len(final.results)
    row = next(cells for cells in section.tables[0].rows if cells[:2] == ("pruned+int8", "OpenVINO"))
    assert row == ("pruned+int8", "OpenVINO", "0.6150", "-0.5", "0.5")
    page.write(final, tmp_path / "report.html")
    told = "Accuracies here are of 8 of 40 validation images; the first sentence is of all 40"
    assert told in (tmp_path / "report.html").read_text(encoding="utf-8")
    page.write(reports.report(), tmp_path / "report.html")
    assert "Accuracies here are of" not in (tmp_path / "report.html").read_text(encoding="utf-8")
    results.write(final, tmp_path / "results.json")
    assert results.read(tmp_path / "results.json") == final


def test_without_val_images_nothing_more_is_validated():
    made = reports.report()
    judge = Judge(made, whole=False)
    assert on_all_images(made, judge) is made
    assert (judge.asked, made.concluded) == ([], made)
    assert all_images.section(made) is None


def test_a_row_that_fails_then_is_told_and_keeps_its_place():
    made = report(pruned_int8=0.595)
    judge = Judge(made)
    whole_score = judge.whole_score

    def broken(variant):
        if variant.name == "pruned+int8" and variant.runtime == "openvino":
            raise ValueError("boom")
        return whole_score(variant)

    judge.whole_score = broken
    final = on_all_images(made, judge)
    assert [(one.name, one.runtime) for one in final.failures] == [("pruned+int8", "openvino")]
    assert len(final.results) == len(made.results)
    assert "pruned+int8" not in [r.variant.name for r in final.concluded.results if r.variant.runtime == "openvino"]
