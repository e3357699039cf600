"""Which row is the best under which limits, and what is said where none meets them; on a made-up report."""

from dataclasses import replace

from helpers import reports
from optimize.limits import Limits
from optimize.result import Report, Result
from optimize.verdict import verdict


def names(rows) -> list[tuple[str, str]]:
    return [(row.variant.name, row.variant.runtime) for row in rows]


def best(report: Report) -> tuple[str, str] | None:
    found = verdict.decide(report).best
    return found and (found.variant.name, found.variant.runtime)


def one(report: Report, name: str, runtime: str) -> Result:
    return next(row for row in report.results if (row.variant.name, row.variant.runtime) == (name, runtime))


def changed(report: Report, name: str, runtime: str, **changes) -> Report:
    """`report` with another score, median or latency in one row."""
    row = one(report, name, runtime)
    if "score" in changes:
        accuracy = row.accuracy
        moved = changes["score"] - accuracy.score
        row = replace(
            row,
            accuracy=replace(
                accuracy,
                metrics=accuracy.metrics | {"mAP50-95": changes["score"]},
                folds=tuple(fold + moved for fold in accuracy.folds),
            ),
        )
    if "median_ms" in changes:
        row = replace(row, latency=replace(row.latency, median_ms=changes["median_ms"]))
    if "latency" in changes:
        row = replace(row, latency=None)
    old = one(report, name, runtime)
    return replace(report, results=tuple(row if other is old else other for other in report.results))


def test_without_limits_it_is_the_fastest_that_loses_at_most_one_point():
    report = reports.report()
    assert best(report) == ("int8", "openvino")  # pruned+int8 is faster, and loses 1.4 points
    assert best(changed(report, "pruned+int8", "openvino", score=0.59)) == ("pruned+int8", "openvino")
    assert verdict.headline(report) == (
        "int8 on OpenVINO: 1.7x faster than the original in the same runtime, the same FLOPs, -0.4 points of mAP50-95, "
        "1.04 MB instead of 4.00 MB; of the 8 of 15 rows that lose at most 1 point it is the fastest."
    )
    assert verdict.reasons(report) == []


def test_with_a_drop_it_is_the_fastest_and_of_what_is_as_fast_the_most_accurate():
    report = reports.report(limits=Limits(max_drop=2))
    fast = one(report, "pruned+int8", "openvino").latency.median_ms
    assert best(report) == ("pruned+int8", "openvino")
    near = changed(report, "int8", "openvino", median_ms=1.04 * fast)  # differences below 5 % are noise here
    assert best(near) == ("int8", "openvino")
    assert verdict.headline(near).endswith(" it is within the noise of the fastest, and more accurate.")
    assert best(changed(report, "int8", "openvino", median_ms=1.06 * fast)) == ("pruned+int8", "openvino")
    assert verdict.headline(report) == (
        "pruned+int8 on OpenVINO: 2.3x faster than the original in the same runtime, 30 % fewer FLOPs, -1.4 points of "
        "mAP50-95, 0.73 MB instead of 4.00 MB; of the 10 of 15 rows that meet max_drop=2 it is the fastest."
    )


def test_without_a_drop_it_is_the_most_accurate_and_of_what_is_as_accurate_the_fastest():
    assert best(reports.report(limits=Limits(latency_ms=6))) == ("int8", "openvino")
    assert best(reports.report(limits=Limits(latency_ms=4))) == ("pruned+int8", "openvino")
    whole = reports.report(limits=Limits(size_mb=5))
    kept = ("original", "torch"), ("original", "openvino"), ("pruned", "openvino")
    report = replace(whole, results=tuple(one(whole, *name) for name in kept))
    error = one(report, *kept[0]).accuracy.error_of_difference(one(report, *kept[2]).accuracy)
    assert error > 0.001
    alike = changed(report, *kept[2], score=0.6 - 1.9 * error)
    assert best(alike) == ("pruned", "openvino")
    assert verdict.headline(alike).endswith(" it is within the noise of the most accurate, and faster.")
    assert best(changed(report, *kept[2], score=0.6 - 2.1 * error)) == ("original", "openvino")
    unknown = replace(one(report, *kept[2]).accuracy, folds=())
    report = replace(report, results=(*report.results[:2], replace(one(report, *kept[2]), accuracy=unknown)))
    assert best(report) == ("original", "openvino")  # where the noise is not known, no difference is taken for it
    assert verdict.headline(reports.report(limits=Limits(latency_ms=6))).endswith(
        "; of the 8 of 15 rows that meet latency_ms=6 it is the most accurate."
    )


def test_every_missed_limit_is_a_reason_with_both_numbers():
    report = reports.report(limits=Limits(max_drop=0.5, latency_ms=5, flops=8e8, size_mb=1))
    found = verdict.decide(report)
    assert found.meeting == () and found.best is None
    assert {
        "pruned on OpenVINO: 1.00 points of mAP50-95 lost instead of 0.5, 5.84 ms instead of 5 ms, 2.8 MB instead of "
        "1 MB.",
        "int8 on OpenVINO: 1 GFLOPs instead of 0.8 GFLOPs, 1.04 MB instead of 1 MB.",
        "pruned+int8 on ONNX Runtime: 1.40 points of mAP50-95 lost instead of 0.5.",
    } <= set(verdict.reasons(report))
    # in both runtimes by 25 % of the FLOPs, but in the other also of the time; pruned and pruned+int8 miss by 180 %
    assert names([found.nearest]) == [("int8", "openvino")]
    assert verdict.headline(report).startswith(
        "Nothing meets the limits (max_drop=0.5, latency_ms=5, flops=8e8, size_mb=1); the nearest miss is int8 on "
    )


def test_the_nearest_miss_is_the_row_whose_largest_miss_is_the_smallest():
    report = reports.report(limits=Limits(latency_ms=3.4))
    assert names([verdict.decide(report).nearest]) == [("pruned+int8", "openvino")]
    slow_and_small = reports.report(limits=Limits(latency_ms=3.4, max_drop=1))  # 3 % and 40 %; int8: 41 %
    assert names([verdict.decide(slow_and_small).nearest]) == [("pruned+int8", "openvino")]
    assert verdict.headline(report).endswith("pruned+int8 on OpenVINO: 3.504 ms instead of 3.4 ms.")


def test_a_limit_that_is_just_met_is_met():
    report = reports.report(limits=Limits(max_drop=1))
    pruned = one(report, "pruned", "openvino")
    assert pruned in verdict.decide(report).meeting  # 0.60 - 0.59 is more than 0.01 in binary
    exact = Limits(latency_ms=pruned.latency.median_ms, flops=pruned.flops, size_mb=pruned.size_bytes / 1e6)
    assert pruned in verdict.decide(replace(report, limits=exact)).meeting


def test_what_was_not_timed_meets_no_limit_of_time_but_all_others():
    report = changed(reports.report(limits=Limits(latency_ms=1000)), "int8", "openvino", latency=None)
    row = one(report, "int8", "openvino")
    assert row not in verdict.decide(report).meeting
    assert verdict.reasons(report) == ["int8 on OpenVINO: time not measured, 1000 ms allowed."]
    assert row in verdict.decide(replace(report, limits=Limits(size_mb=2))).meeting


def test_a_limit_of_a_frame_is_of_the_whole_frame_and_not_of_the_graph():
    report = reports.report(limits=Limits(frame_ms=9))
    pruned, whole = one(report, "pruned+int8", "openvino"), one(report, "original", "openvino")
    assert pruned.frame.total.median_ms < 9 and whole.latency.median_ms < 9 < whole.frame.total.median_ms
    assert pruned in verdict.decide(report).meeting and whole not in verdict.decide(report).meeting
    assert "original on OpenVINO: 13.4 ms for a frame instead of 9 ms for a frame." in verdict.reasons(report)
    rows = tuple(replace(row, frame=None) if row is pruned else row for row in report.results)
    reasons = verdict.reasons(replace(report, results=rows))
    assert "pruned+int8 on OpenVINO: time not measured, 9 ms for a frame allowed." in reasons


def test_a_rival_that_wins_is_said_first():
    report = reports.report(limits=Limits(max_drop=2))
    report = changed(report, "64px+int8", "openvino", score=0.61)
    assert best(report) == ("64px+int8", "openvino")
    assert verdict.headline(report).startswith(
        "A rival beats every optimized variant, 64px+int8 on OpenVINO: 2.2x faster than the original in the same "
        "runtime, 28 % fewer "
    )
    assert names([verdict.chosen(report)]) == [("pruned+int8", "openvino")]  # whose images are compared


def test_where_nothing_was_gained_the_original_stays():
    report = reports.report(limits=Limits(max_drop=0))
    assert best(report) == ("original", "openvino")
    assert verdict.headline(report) == (
        "Nothing beats the original, which takes 8 ms on OpenVINO; of the 3 of 15 rows that meet max_drop=0 it is the "
        "fastest."
    )
    alone = replace(report, limits=Limits(), results=tuple(r for r in report.results if r.variant.name == "original"))
    assert verdict.headline(alone) == (
        "Nothing was changed; the original takes 8 ms on OpenVINO; of the 3 of 3 rows that lose at most 1 point it is "
        "the fastest."
    )
    assert verdict.chosen(alone) is None
    assert names([verdict.chosen(report)]) == [("int8", "onnxruntime")]  # the nearest miss, 0.4 points


def test_against_an_original_that_failed_nothing_is_called_faster():
    report = reports.report()
    report = replace(report, results=tuple(r for r in report.results if r is not one(report, "original", "openvino")))
    assert verdict.headline(report).startswith("int8 on OpenVINO: 4.8 ms, the same FLOPs, ")
