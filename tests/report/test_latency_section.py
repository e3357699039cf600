"""The section on a latency target says what was asked, what was timed, and what the finished file saves."""

from dataclasses import replace

from helpers import reports
from optimize.latency_work import TimeTarget
from optimize.report.sections.latency_target import HEAD, section

TIME = reports.time_target()


def row(time: TimeTarget = TIME, **changes) -> dict[str, str]:
    report = reports.report(stages=(reports.pruned(target="latency", time=time),), **changes)
    (cells,) = section(report).tables[0].rows
    return dict(zip(HEAD, cells, strict=True))


def test_the_finished_file_is_compared_with_the_original_in_the_same_runtime_and_precision():
    """In OpenVINO int8 the original takes 0.6 * 8 ms and the pruned one 0.73 of that."""
    assert row()["asked"] == "-30.0%" and row()["finished file"] == "-27.0%"
    results = reports.report().results
    slower = [
        replace(one, latency=replace(one.latency, speedup=one.latency.speedup * 0.73))
        if (one.variant.name, one.variant.runtime) == ("pruned+int8", "openvino")
        else one
        for one in results
    ]
    assert row(results=tuple(slower))["finished file"] == "+0.0%"


def test_a_finished_file_that_was_not_timed_here_has_a_dash():
    assert row(replace(TIME, milliseconds=None, attempts=0))["finished file"] == "-"  # the table of another device
    results = reports.report().results
    for model in (), ("pruned",):
        timed = tuple(replace(one, latency=None) if one.variant.model == model else one for one in results)
        assert row(results=timed)["finished file"] == "-"
    assert row(replace(TIME, deployment="onnxruntime-bf16"))["finished file"] == "-"


def test_of_several_cuts_the_last_one_made_the_finished_file():
    stages = [reports.pruned(target="latency", asked=asked, time=TIME) for asked in (0.1, 0.3)]
    rows = section(reports.report(stages=tuple(stages))).tables[0].rows
    assert [(cells[1], cells[-1]) for cells in rows] == [("-10.0%", "-"), ("-30.0%", "-27.0%")]
