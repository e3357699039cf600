"""Where the same model in 16 bits makes its int8 file pointless, the report says which one to take."""

from dataclasses import replace

import pytest

from helpers import reports
from helpers.messages import says
from optimize.verdict import gates
from optimize.verdict.instead import faster_halves

NAME = "slower than 16 bits"


def rows(half_ms: float, half_score: float, half: str = "bf16", **changes):
    """An int8 file of 5 ms and mAP50-95 0.590 beside the same model in 16 bits, in one runtime."""
    int8 = reports.row("pruned", "openvino", "int8", 0.7, 0.590, 5.0, reference=8.0)
    other = reports.row("pruned", "openvino", half, 0.7, half_score, half_ms, reference=8.0)
    return reports.report(results=(reports.row("original", "openvino", "fp32", 1.0, 0.6, 8.0), int8, other), **changes)


@pytest.mark.parametrize("half", ["bf16", "fp16"])
def test_a_faster_half_that_loses_nothing_is_to_be_taken(half):
    report = rows(4.0, 0.591, half)
    (pair,) = faster_halves(report)
    assert (pair.row.variant.precision, pair.rival.variant.precision) == ("int8", half)
    assert pair.faster == pytest.approx(5 / 4)
    (sentence,) = (sentence for name, sentence in gates.fired(report) if name == NAME)
    expected = f"pruned+int8 on OpenVINO is 1.25x slower than pruned+{half} ... (5 ms instead of 4 ms) ... +0.1 points"
    assert says(sentence, f"{expected} ... take pruned+{half}")


def test_within_the_noise_or_at_a_loss_nothing_is_said():
    assert not faster_halves(rows(4.9, 0.60))  # 2 % faster
    assert not faster_halves(rows(6.0, 0.60))
    assert not faster_halves(rows(4.0, 0.60, noise=0.2))
    for lost, taken in ((1.9, True), (2.1, False)):
        report = rows(4.0, 0.590)
        original, int8, half = report.results
        folds = tuple(fold + 0.001 * (i % 3) for i, fold in enumerate(half.accuracy.folds))
        error = replace(half.accuracy, folds=folds).error_of_difference(int8.accuracy)
        metrics = half.accuracy.metrics | {"mAP50-95": 0.590 - lost * error}
        less = replace(half, accuracy=replace(half.accuracy, metrics=metrics, folds=folds))
        assert bool(faster_halves(replace(report, results=(original, int8, less)))) is taken


def test_only_the_same_model_in_the_same_runtime_counts():
    report = rows(4.0, 0.60)
    original, int8, half = report.results
    others = (
        replace(half, variant=replace(half.variant, runtime="onnxruntime")),
        replace(half, variant=replace(half.variant, tags=("bf16",))),
    )
    for other in others:
        assert not faster_halves(replace(report, results=(original, int8, other)))
    trained = replace(int8, variant=replace(int8.variant, tags=("pruned", "qat", "int8")))
    assert faster_halves(replace(report, results=(original, trained, half)))
