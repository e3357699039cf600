"""Compares rows of a sweep with the original at the largest input, so that the cost of a smaller input shows."""

from dataclasses import replace
from typing import NamedTuple

from optimize.provenance import Comparable
from optimize.result import Report, Result
from optimize.verdict.plain import original


class Compared(NamedTuple):
    """A job's rows, and its report with the results of the job whose original they are compared with."""

    rows: tuple[Result, ...]
    report: Report


def against_the_largest(reports: dict[int, Report]) -> dict[int, Compared]:
    """By the job's number: its rows against the original of the same model and data at the largest input in the sweep.

    At a smaller input a row's speed-up becomes the ratio of its median to that of the larger original, which was timed
    in the same sweep; its quartiles keep their distance as a share. Jobs at the largest input stay as they are.
    """
    largest: dict[tuple[str, Comparable], Report] = {}
    for report in reports.values():
        known = largest.setdefault(_model(report), report)
        if report.provenance.imgsz.pixels > known.provenance.imgsz.pixels:
            largest[_model(report)] = report
    return {number: _compared(report, largest[_model(report)]) for number, report in reports.items()}


def _model(report: Report) -> tuple[str, Comparable]:
    return str(report.provenance.config.get("model")), report.provenance.comparable


def _compared(report: Report, base: Report) -> Compared:
    if report.provenance.imgsz == base.provenance.imgsz:
        return Compared(report.results, report)
    return Compared(tuple(_row(row, base) for row in report.results), replace(report, results=base.results))


def _row(row: Result, base: Report) -> Result:
    larger = original(base, row.variant.runtime)
    if row.latency is None or larger is None or larger.latency is None:
        return row
    speedup = larger.latency.median_ms / row.latency.median_ms
    share = speedup / row.latency.speedup
    low, high = share * row.latency.speedup_low, share * row.latency.speedup_high
    return replace(row, latency=replace(row.latency, speedup=speedup, speedup_low=low, speedup_high=high))
