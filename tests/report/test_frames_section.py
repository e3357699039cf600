"""What the report says of whole frames."""

from dataclasses import replace

import pytest

from helpers import reports
from helpers.messages import says
from optimize.report import words
from optimize.report.sections import frames


def test_a_frame_has_a_row_by_stage_and_the_share_that_is_not_the_graph():
    section = frames.section(reports.report())
    (table,) = section.tables
    assert len(table.rows) == len(reports.report().results)
    whole = next(row for row in table.rows if row[:2] == ("original", "openvino"))
    # 1.1 times 8 ms for the graph; 3, 1 and 0.5 ms beside it, and 0.1 ms that is in no stage
    assert whole == ("original", "openvino", "3.00", "1.00", "8.80", "0.50", "13.40", "12.06-16.08", "34%")
    assert "rest ms" not in table.head


def test_what_the_stages_lack_is_a_column_where_it_is_more_than_three_percent():
    report = reports.report()
    first = replace(report.results[0], frame=replace(report.results[0].frame, runs=90))
    first = replace(first, frame=replace(first.frame, total=first.frame.total.scaled(1.04)))
    section = frames.section(replace(report, results=(first, *report.results[1:])))
    (table,) = section.tables
    rest = [row[table.head.index("rest ms")] for row in table.rows]
    assert rest[0] == f"{0.04 * 26.6 + 0.1:+.2f}" and set(rest[1:]) == {"+0.10"}
    assert says(" ".join(section.notes), "`rest` is what the medians of the stages lack")


def test_the_share_beside_the_network_is_said_of_the_row_to_take_where_it_is_more_than_a_tenth():
    how, share = frames.sentences(reports.report())
    assert says(how, "an encoded image of 1920x1080 pixels ... the median of 90 timed frames")
    graph = 1.1 * 0.6 * 8
    expected = f"{4.5 / (graph + 4.6):.0%} of a frame of int8 on OpenVINO is not the network (decode 3.00 ms, "
    assert share.startswith(expected)
    assert share.endswith(f"of {graph + 4.6:.2f} ms); it is more than a tenth in 15 of 15 rows.")
    slow = tuple(replace(row, frame=reports.frame(1000.0)) for row in reports.report().results)
    assert len(frames.sentences(reports.report(results=slow))) == 1


def test_a_report_without_frames_says_nothing_of_them():
    rows = tuple(replace(row, frame=None) for row in reports.report().results)
    report = reports.report(results=rows)
    assert frames.section(report) is None and frames.sentences(report) == []
    assert words.FRAME not in words.columns(report)


@pytest.mark.parametrize("missing", [0, 3])
def test_a_row_whose_frames_were_not_timed_has_a_dash(missing):
    results = reports.report().results
    rows = tuple(replace(row, frame=None) if i == missing else row for i, row in enumerate(results))
    report = reports.report(results=rows)
    column = words.columns(report).index(words.FRAME)
    cells = [row[column] for row in words.rows(report)]
    assert [cell == "-" for cell in cells] == [i == missing for i in range(len(results))]
