"""What is reproduced and what is not, on made-up reports."""

from dataclasses import replace

import pytest

from helpers import reports
from helpers.messages import says
from optimize.verdict.repeated import differences, repeated


def changed(name: str, **changes):
    """The made-up report with other figures in the OpenVINO row `name`."""
    report = reports.report()
    rows = [
        changes["row"](row) if (row.variant.name, row.variant.runtime) == (name, "openvino") else row
        for row in report.results
    ]
    return replace(report, results=tuple(row for row in rows if row is not None))


def faster(row, factor: float):
    """The speed-up is another one, and the milliseconds stay: the original became slower or faster."""
    time = row.latency
    quartiles = {name: factor * getattr(time, name) for name in ("speedup", "speedup_low", "speedup_high")}
    return replace(row, latency=replace(time, **quartiles))


def slower(row, factor: float):
    """It takes longer, and the original does not."""
    return replace(row, latency=faster(row, 1 / factor).latency.scaled(factor))


def test_the_same_report_is_reproduced():
    rows = repeated(reports.report(), reports.report())
    assert len(rows) == 15
    assert differences(rows) == []


@pytest.mark.parametrize(
    ("row", "parts"),
    [
        (lambda row: replace(row, sha256="f" * 64), "SHA-256 0123456789ab became ffffffffffff"),
        (
            lambda row: replace(row, accuracy=replace(row.accuracy, metrics={"mAP50-95": 0.595999, "mAP50": 0.7})),
            "mAP50-95 0.596000 became 0.595999",
        ),
        (lambda row: replace(row, latency=None), "it was not timed again"),
        (
            lambda row: slower(row, 1.08),
            "speed-up 1.67x became 1.54x, and 4.8 ms became 5.184 ms, both more than the noise of 5%",
        ),
        (lambda row: None, "it is missing"),
    ],
)
def test_each_figure_that_is_another_one_is_named(row, parts):
    found = differences(repeated(reports.report(), changed("int8", row=row)))
    assert len(found) == 1
    assert says(found[0], f"int8 on OpenVINO: ... {parts}")


@pytest.mark.parametrize("factor", [0.951, 1.04])  # within the noise; and quartiles, +-3 %, that overlap
def test_times_within_the_noise_or_whose_quartiles_overlap_agree(factor):
    assert differences(repeated(reports.report(), changed("int8", row=lambda row: faster(row, factor)))) == []


def test_a_speed_up_that_moves_with_the_original_alone_is_reproduced():
    assert differences(repeated(reports.report(), changed("int8", row=lambda row: faster(row, 1.3)))) == []
    both = changed("int8", row=lambda row: slower(row, 1.3))
    assert len(differences(repeated(reports.report(), both))) == 1


def test_rivals_that_were_found_by_timing_may_be_others():
    report = reports.report()
    fewer = replace(report, results=tuple(row for row in report.results if not row.rival))
    assert differences(repeated(report, fewer)) == []


def test_absolute_times_decide_nothing():
    slower = changed("int8", row=lambda row: replace(row, latency=row.latency.scaled(3.0)))
    assert differences(repeated(reports.report(), slower)) == []
