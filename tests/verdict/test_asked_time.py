"""A finished file that takes longer than a latency target asked for is named, with what to ask for instead."""

from dataclasses import replace

import pytest

from helpers import reports
from helpers.messages import says
from optimize.result import Report
from optimize.verdict import gates
from optimize.work import FloatLayer, Quantized


def report(takes: float, asked: float = 0.3, quantization: Quantized | None = None) -> Report:
    """A report of a latency target whose finished file takes this share of the original's time."""
    cut = reports.pruned(target="latency", asked=asked, reached=0.31, time=reports.time_target())
    made = reports.report(stages=(cut,))
    (whole,) = [row for row in made.results if (row.variant.name, row.variant.runtime) == ("int8", "openvino")]
    rows = (
        replace(row, quantization=quantization, latency=replace(row.latency, speedup=whole.latency.speedup / takes))
        if (row.variant.name, row.variant.runtime) == ("pruned+int8", "openvino")
        else row
        for row in made.results
    )
    return replace(made, results=tuple(rows))


def alarm(made: Report) -> str | None:
    return dict(gates.fired(made)).get("asked time")


@pytest.mark.parametrize("takes", [0.5, 0.7, 0.73])
def test_a_file_as_fast_as_asked_has_none(takes):
    """Up to 5 % more is noise."""
    assert alarm(report(takes)) is None


def test_it_says_what_to_ask_for():
    """The finished file takes 0.75 / 0.7 of what was asked, so 0.7 * 0.7 / 0.75 = 0.653 must be left."""
    sentence = alarm(report(0.75))
    assert says(sentence, "pruned+int8 on OpenVINO ... 75.0% ... 70.0% was asked ... 69.0% before it was trained")
    assert sentence.endswith("takes longer; prune=0.35 makes up for it.")


def test_layers_back_in_float_are_named():
    layers = FloatLayer("model.0", 0.1, 0.1), FloatLayer("model.1", 0.1, 0.1)
    made = Quantized(drop=0.9, max_drop=1, reached=True, float_layers=layers)
    assert says(alarm(report(0.75, quantization=made)), "with 2 of its layers back in float ... prune=0.35")
    assert "in float" not in alarm(report(0.75, quantization=replace(made, float_layers=None)))


def test_other_targets_have_none():
    rows = report(0.9).results
    assert alarm(reports.report(results=rows)) is None
