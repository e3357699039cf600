"""A class that is lost while the mean over classes hardly moves is a limit that is missed, and an alarm."""

from dataclasses import replace

import pytest

from helpers import reports
from helpers.messages import says
from helpers.runtimes import ALL
from optimize.errors import InputError
from optimize.limits import Limits
from optimize.report import words
from optimize.result import Report, Result
from optimize.sweep.search import objective
from optimize.verdict import gates, verdict
from optimize.verdict.class_loss import ClassLoss, class_losses

FOLDS = 20


def accuracy(row: Result, objects: int, spread: float | None, **classes: float):
    """The row's accuracy with other classes, each with so many objects and folds that are `spread` apart."""
    folds = {} if spread is None else {n: tuple(s + spread * (i % 2) for i in range(FOLDS)) for n, s in classes.items()}
    own = replace(row.accuracy, classes=classes, objects=dict.fromkeys(classes, objects), class_folds=folds)
    return replace(row, accuracy=own)


def lost(objects: int = 30, after: float = 0.5, spread: float | None = 0.0, **changes) -> Report:
    """The original and a row that loses of `cup`, and gains in `plate`."""
    first, row = (r for r in reports.report().results if (r.variant.name, r.variant.runtime) in NAMES)
    rows = accuracy(first, objects, 0.0, cup=0.7, plate=0.6), accuracy(row, objects, spread, cup=after, plate=0.8)
    return reports.report(results=rows, disagreement=None, **changes)


NAMES = {("original", "torch"), ("pruned+int8", "openvino")}


def alarms(report: Report) -> list[str]:
    return [gate.sentence for gate in gates.fired(report) if gate.name == "class lost"]


def test_classes_with_enough_objects_are_listed_the_largest_loss_first():
    report = lost(after=0.58)
    assert class_losses(report.results[1], report) == [
        ClassLoss("cup", 30, 0.7, 0.58, pytest.approx(0, abs=1e-15)),
        ClassLoss("plate", 30, 0.6, 0.8, pytest.approx(0, abs=1e-15)),
    ]
    assert class_losses(report.results[1], report)[0].points == 12
    report = lost(objects=29)
    assert class_losses(report.results[1], report) == []


def test_a_class_that_is_lost_beyond_its_error_is_an_alarm():
    (sentence,) = alarms(lost())
    assert says(sentence, "pruned+int8 on OpenVINO has mAP50-95 0.5000 for class cup, the original 0.7000: 20.0 ")
    assert says(sentence, "20.0 points lost on 30 objects, with a standard error of 0.0; ... limits.max_class_drop.")
    assert alarms(lost(after=0.6)) == []  # just ten points
    assert len(alarms(lost(after=0.599))) == 1
    assert alarms(lost(objects=29)) == []
    assert alarms(lost(spread=None)) == []  # an older report: no folds, no error, no alarm
    # the jackknife of folds that alternate by 0.02: sqrt(19 / 20 * 20 * 0.01^2) = 0.0436, and 20 - 2 * 4.36 > 10
    assert says(alarms(lost(spread=0.02))[0], "with a standard error of 4.4;")
    assert alarms(lost(spread=0.0235)) == []  # 20 - 2 * 5.12 < 10


def test_an_alarm_names_the_worst_of_several_classes_and_spares_what_is_broken_as_a_whole():
    report = lost()
    first, row = report.results
    both = accuracy(row, 30, 0.0, cup=0.5, plate=0.1)
    (sentence,) = alarms(replace(report, results=(first, both)))
    assert says(sentence, "class plate, the original 0.6000: ... and 1 more classes are lost as clearly; train")
    nothing = replace(both, accuracy=replace(both.accuracy, metrics={"mAP50-95": 0.0, "mAP50": 0.0}))
    broken = replace(report, results=(first, nothing))
    assert alarms(broken) == []
    assert "accuracy near zero" in {gate.name for gate in gates.fired(broken)}


def test_several_rows_are_one_alarm_and_rivals_none():
    report = lost()
    first, row = report.results
    twin = replace(row, runtime=ALL["onnxruntime"].info, variant=replace(row.variant, runtime="onnxruntime"))
    (sentence,) = alarms(replace(report, results=(first, row, twin)))
    assert says(sentence, "pruned+int8 on OpenVINO has ... and so lose pruned+int8 on ONNX Runtime; train longer")
    assert alarms(replace(report, results=(first, replace(row, rival=True)))) == []


def test_a_row_of_another_table_is_judged_too():
    report = lost()
    assert [s for s in gates.of_row(report.results[1], report.results[0], report) if "class cup" in s] == alarms(report)


def test_the_limit_names_the_class_and_both_numbers():
    report = lost(limits=Limits(max_class_drop=5))
    assert verdict.reasons(report) == [
        "pruned+int8 on OpenVINO: 20.00 points of mAP50-95 lost in class cup (0.7000 to 0.5000) instead of 5."
    ]
    ((row, (miss,)),) = verdict.decide(report).failing
    assert (row.variant.name, miss.excess) == ("pruned+int8", 3)
    alone = verdict.decide(report, [row])
    assert verdict.explain(alone, report) == (
        "Nothing meets the limits (max_class_drop=5)",
        "the nearest miss is pruned+int8 on OpenVINO: 20.00 points of mAP50-95 lost in class cup (0.7000 to 0.5000) "
        "instead of 5",
    )
    for met in (lost(limits=Limits(max_class_drop=20)), lost(limits=Limits(max_class_drop=0), objects=29)):
        assert verdict.decide(met).failing == ()
    assert verdict.decide(lost(limits=Limits(max_class_drop=0), spread=None)).failing  # a limit needs no error


def test_the_report_says_how_many_classes_the_limit_judges():
    notes = words.notes(lost(limits=Limits(max_class_drop=5)))
    assert "limits.max_class_drop judges 2 of 2 classes, those with at least 30 objects." in notes
    notes = words.notes(lost(limits=Limits(max_class_drop=5), objects=29))
    assert "limits.max_class_drop judges 0 of 2 classes, those with at least 30 objects." in notes
    assert not any("max_class_drop" in note for note in words.notes(lost()))


def test_a_search_learns_how_far_the_worst_class_is_beyond_the_limit():
    report = lost(limits=Limits(max_class_drop=5))
    row = report.results[1]
    assert objective._excess(row, 1.0, report, report.limits) == {"max_class_drop": 15}


def test_a_negative_limit_is_refused():
    with pytest.raises(InputError, match=r"limits.max_class_drop=-1 is not allowed; give 0 or more"):
        Limits(max_class_drop=-1)
