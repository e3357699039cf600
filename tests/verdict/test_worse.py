"""What is worse and what is not, figure by figure, on made-up reports."""

from dataclasses import replace

import pytest

from helpers import reports
from helpers.messages import says
from optimize.dataset import ImageSet
from optimize.measure.slowdown import Slowdown
from optimize.result import Report
from optimize.verdict.worse import changes, sentences

HERE = Slowdown(10.0, 10.0, 0.0, -0.01)


def pair(change=lambda row: row, report: Report | None = None):
    """The row `pruned+int8` of OpenVINO in a report and, changed, in another."""
    old = reports.report()
    row = next(r for r in old.results if (r.variant.name, r.variant.runtime) == ("pruned+int8", "openvino"))
    return (row, old), (change(row), report or old)


def by_name(old, new, timed=HERE, untimed=""):
    found = changes(old, new, timed, untimed)
    return {one.what.split(",")[0]: one for one in found}, list(sentences("it", found))


def test_the_same_row_is_not_worse():
    found, told = by_name(*pair())
    assert {name: one.worse for name, one in found.items()} == dict.fromkeys(("GFLOPs", "MB", "mAP50-95", "ms"), False)
    assert told == []


@pytest.mark.parametrize(("factor", "worse"), [(1.011, True), (1.009, False), (0.5, False)])
def test_size_may_grow_by_one_percent(factor, worse):
    found, told = by_name(*pair(lambda row: replace(row, size_bytes=round(factor * row.size_bytes))))
    assert found["MB"].worse is worse
    assert len(told) == worse


@pytest.mark.parametrize(("factor", "worse"), [(1.011, True), (1.009, False)])
def test_flops_may_grow_by_one_percent(factor, worse):
    def more(row):
        return replace(row, graph=replace(row.graph, int_ops=round(factor * row.graph.int_ops)))

    assert by_name(*pair(more))[0]["GFLOPs"].worse is worse


@pytest.mark.parametrize(("lost", "worse"), [(0.0101, True), (0.0099, False), (-0.5, False)])
def test_accuracy_may_fall_by_two_standard_errors_of_the_paired_difference(lost, worse):
    """Folds that differ by +-e have a jackknife error of sqrt((G - 1) / G * G e^2) = e sqrt(G - 1)."""
    error = 0.005

    def less(row):
        folds = tuple(fold - lost + error / 7**0.5 * (-1) ** i for i, fold in enumerate(row.accuracy.folds))
        metrics = row.accuracy.metrics | {"mAP50-95": row.accuracy.score - lost}
        return replace(row, accuracy=replace(row.accuracy, metrics=metrics, folds=folds))

    found, _ = by_name(*pair(less))
    assert found["mAP50-95"].worse is worse
    assert says(found["mAP50-95"].noise, "2 standard errors, 1.0 points")


def test_accuracies_of_other_images_or_without_an_error_are_not_compared():
    other = replace(reports.report(), provenance=reports.provenance(accuracy_on=ImageSet("val", 8, 8, "other")))
    found, told = by_name(*pair(report=other))
    assert (found["mAP50-95"].worse, told) == (None, [])
    assert says(found["mAP50-95"].reason, "other images")
    few = pair(lambda row: replace(row, accuracy=replace(row.accuracy, folds=())))
    assert says(by_name(*few)[0]["mAP50-95"].reason, "too few images")


def test_files_that_are_both_timed_now_are_worse_where_the_slow_down_is():
    found, told = by_name(*pair(), timed=Slowdown(10.0, 10.6, 0.06, 0.03))
    assert found["ms"].worse
    assert says(told[0], "it: ms, both timed now 10 became 10.6 (+6.0 % ... at least +3.0 %")


def slower(factor):
    def change(row):
        time = row.latency
        ratios = {name: getattr(time, name) / factor for name in ("speedup", "speedup_low", "speedup_high")}
        return replace(row, latency=replace(time, **ratios))

    return change


@pytest.mark.parametrize(("factor", "worse"), [(1.07, True), (1.055, False), (1.04, False), (0.5, False)])
def test_else_speed_ups_over_the_originals_decide(factor, worse):
    """Beyond the noise of 5 % and without a common part of the quartiles, which are +-3 %."""
    found, told = by_name(*pair(slower(factor)), timed=None, untimed="the old file is not here")
    assert found["speed-up"].worse is worse
    assert len(told) == worse


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        (lambda r: replace(r, provenance=reports.provenance(threads=4)), "on 2 and on 4 threads"),
        (
            lambda r: replace(
                r, provenance=replace(r.provenance, host=replace(r.provenance.host, cpu="a chip of another kind"))
            ),
            "measured on other CPUs (a CPU; a chip of another kind)",
        ),
        (lambda r: replace(r, alone=False), "by the clock of versions up to 0.3"),
        (lambda r: replace(r, results=r.results[:3]), "their originals differ"),
    ],
)
def test_speed_ups_of_another_machine_or_another_clock_decide_nothing(other, reason):
    found, told = by_name(*pair(slower(9), other(reports.report())), timed=None, untimed="the old file is not here")
    assert (found["speed-up"].worse, told) == (None, [])
    assert says(found["speed-up"].reason, f"the old file is not here ... {reason}")
