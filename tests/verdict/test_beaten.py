"""When a rival beats what was made: not slower and more accurate, or faster and not less accurate, beyond the noise."""

from dataclasses import replace

import pytest

from helpers import reports
from helpers.messages import says
from optimize.limits import Limits
from optimize.report.sections import equal_time
from optimize.result import Report
from optimize.verdict import rivals, verdict
from optimize.verdict.rivals import Comparison

NOISE = 0.05  # of the made-up report


@pytest.mark.parametrize(
    ("faster", "gain", "error", "beats"),
    [
        (1.0, 1.01, 0.5, True),
        (1.0, 0.99, 0.5, False),  # within two standard errors
        (0.96, 1.01, 0.5, True),  # slower by less than the noise
        (0.95, 1.01, 0.5, False),
        (1.06, -0.99, 0.5, True),  # faster, and the loss is within two standard errors
        (1.06, -1.01, 0.5, False),
        (1.04, -0.99, 0.5, False),  # not faster beyond the noise
        (2.0, 5.0, None, False),  # nothing is known of the difference
    ],
)
def test_a_rival_beats_beyond_the_noise_of_both(faster, gain, error, beats):
    row, rival = (
        reports.row("pruned", "openvino", "int8", 0.7, 0.6, 4.0),
        reports.row("64px", "openvino", "int8", 0.7, 0.6, 4.0),
    )
    assert Comparison(row, rival, faster, gain, error, NOISE).beats is beats


def held(score: float, milliseconds: float) -> Report:
    """The made-up report in which the rival in OpenVINO's int8 has this accuracy and time."""
    report = reports.report()
    place = len(report.results) - 1  # the last row
    other = reports.row("64px", "openvino", "int8", 0.72, score, milliseconds, reference=8.0)
    return replace(report, results=(*report.results[:place], other, *report.results[place + 1 :]))


def test_the_first_sentence_says_that_a_rival_beats_the_best_row():
    assert verdict.headline(held(0.55, 4.8)).startswith("int8 on OpenVINO: 1.7x faster")
    beaten = held(0.65, 4.9)  # as fast as int8, which the verdict takes, and 5.4 points more accurate
    row = next(row for row in beaten.results if row.variant.name == "int8" and row.variant.runtime == "openvino")
    found = rivals.beaten(row, beaten)
    assert (found.rival.variant.name, round(found.gain, 6)) == ("64px+int8", 5.4)
    assert verdict.headline(beaten).startswith("A rival beats every optimized variant, 64px+int8 on OpenVINO: ")


def test_the_first_sentence_says_so_too_where_the_rival_misses_a_limit():
    report = replace(held(0.65, 3.5), limits=Limits(flops=0.71e9, max_drop=2))
    assert says(
        verdict.headline(report),
        "64px+int8 on OpenVINO beats pruned+int8: it is as fast, and 6.4 points of mAP50-95 more accurate, which is "
        "more than two standard errors (0.0); pruned+int8 on OpenVINO: 2.3x faster",
    )


def test_a_row_that_was_not_timed_is_not_beaten():
    report = held(0.65, 4.9)
    row = replace(report.results[-1], latency=None)
    assert rivals.beaten(row, report) is None


def test_the_section_shows_each_rival_of_the_same_precision():
    section = equal_time.section(held(0.65, 4.9))
    (table,) = section.tables
    assert [(row[0], row[1], row[2], row[-1]) for row in table.rows] == [
        ("ONNX Runtime", "pruned+int8", "64px+int8", "-"),
        ("OpenVINO", "pruned+int8", "64px+int8", "-"),
        ("OpenVINO", "int8", "64px", "-"),  # only quantized, so the original in float is a rival as well
        ("OpenVINO", "int8", "64px+int8", "the rival"),
    ]
    assert equal_time.section(replace(held(0.65, 4.9), results=reports.report().results[:2])) is None
